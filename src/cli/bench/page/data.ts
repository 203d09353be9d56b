/** What the page shows, from what the threads recorded: pure. */
import * as Holds from "../contest/holds.ts"
import type { Records } from "../contest/task.ts"
import * as histogram from "../harness/histogram.ts"
import type { Figures } from "../load/figures.ts"

/** One protocol of a test: its figures, its records, and the acquisitions of each contender. */
export interface Side {
  readonly figures: Figures
  readonly records: Records
  readonly acquisitions: ReadonlyArray<number>
}

/** Consecutive holds of one thread: `from` and `to` in milliseconds, and how many they were. */
export interface Turn {
  readonly thread: number
  readonly from: number
  readonly to: number
  readonly holds: number
}

/** The turns of a side. Pauses of up to `merged` milliseconds between holds of one thread are not shown. */
export interface Timeline {
  readonly turns: ReadonlyArray<Turn>
  readonly merged: number
  readonly isComplete: boolean
}

/** How many turns of a side fit on a page. */
export const mostTurns = 8000

const pauses = [0, 0.01, 0.1, 1, 10, 100, 1000, 10_000]

/** Which thread held the lock when. */
export const timelineOf = ({ figures, records }: Side): Timeline => {
  if (records.holds === undefined) return { turns: [], merged: 0, isComplete: true }
  const { holds, isComplete } = Holds.read(records.holds)
  for (const merged of pauses) {
    const turns = turnsOf(holds, figures.fibers, merged)
    if (turns.length <= mostTurns) return { turns, merged, isComplete }
  }
  const merged = Number.POSITIVE_INFINITY
  return { turns: turnsOf(holds, figures.fibers, merged), merged, isComplete }
}

// A turn ends with the first pause that is longer.
const turnsOf = (holds: ReadonlyArray<Holds.Hold>, fibers: number, merged: number): ReadonlyArray<Turn> => {
  const turns: Array<Turn> = []
  const lastOf = new Map<number, number>()
  for (const { entered, left, who } of holds) {
    const thread = Math.floor((who - 1) / fibers)
    const index = lastOf.get(thread)
    const last = index === undefined ? undefined : turns[index]
    if (last !== undefined && entered - last.to <= merged) {
      turns[index!] = { ...last, to: Math.max(last.to, left), holds: last.holds + 1 }
    } else {
      lastOf.set(thread, turns.length)
      turns.push({ thread, from: entered, to: left, holds: 1 })
    }
  }
  return turns
}

// With fewer in a point, the curve shows chance: it jumps between none and one.
const acquisitionsInPoint = 10
const fewestPoints = 12

/** Acquisitions a second, over time: in so many points at most, and in fewer if there were few acquisitions. */
export const throughputOf = ({ records: { holds } }: Side, mostPoints = 240) => {
  if (holds === undefined) return []
  const { partMillis, parts } = holds
  const used = parts.findLastIndex((count) => count > 0) + 1
  const total = parts.reduce((sum, count) => sum + count, 0)
  const points = Math.min(mostPoints, Math.max(fewestPoints, Math.ceil(total / acquisitionsInPoint)))
  const size = Math.max(1, Math.ceil(used / points))
  return Array.from({ length: Math.ceil(used / size) }, (_, index) => {
    const counts = parts.slice(index * size, (index + 1) * size)
    const acquisitions = counts.reduce((sum, count) => sum + count, 0)
    return { seconds: (index * size * partMillis) / 1000, perSecond: (acquisitions * 1000) / (size * partMillis) }
  })
}

/** A distribution: of how many durations, as a share of all, each range has. In milliseconds. */
export const distributionOf = (durations: histogram.Histogram) => {
  const total = histogram.count(durations)
  return histogram.ranges(durations).map(({ count, from, to }) => ({ from, to, share: count / total }))
}

/** Whether there were hand-offs: a semaphore has none, since an entry there need not follow a release. */
export const hasHandoffs = (sides: ReadonlyArray<Side>): boolean =>
  sides.some(({ figures }) => figures.handoffMillis.max !== null)

/** The requests of each verb for each acquisition. */
export const requestsOf = ({ figures: { acquisitions, requests } }: Side) =>
  Object.entries(requests)
    .filter(([, count]) => count > 0)
    .map(([verb, count]) => ({ verb, count, perAcquisition: acquisitions === 0 ? 0 : count / acquisitions }))

/** How often the contenders had the lock, in equal shares, from the least to the most: so many of them at most. */
export const sharesOf = ({ acquisitions }: Side, mostPoints = 256) => {
  const sorted = acquisitions.toSorted((a, b) => a - b)
  const due = sorted.reduce((sum, count) => sum + count, 0) / sorted.length
  const points = Math.min(mostPoints, sorted.length)
  return Array.from({ length: points }, (_, index) => {
    const rank = points === 1 ? 0 : Math.round((index * (sorted.length - 1)) / (points - 1))
    return { contender: rank + 1, share: due === 0 ? 0 : sorted[rank]! / due }
  })
}
