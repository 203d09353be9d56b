/** What many processes saw, put together: pure. */
import { fairness } from "../figures.ts"
import type { Report } from "./task.ts"

/** The shares at which a distribution is kept, for its curve: finer towards the end, where it hurts. */
export const grid: ReadonlyArray<number> = [
  ...Array.from({ length: 50 }, (_, index) => index / 50),
  0.99,
  0.995,
  0.999,
  1
]

/** The smallest sample that at least that share of all samples does not exceed; `null` where there are none. */
export const quantile = (sorted: ReadonlyArray<number>, share: number): number | null =>
  sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? null

/** The samples at the shares of the grid; empty where there are none. */
export const curve = (samples: ReadonlyArray<number>): ReadonlyArray<number> => {
  const sorted = samples.toSorted((a, b) => a - b)
  return sorted.length === 0 ? [] : grid.map((share) => quantile(sorted, share)!)
}

/** The middle one; of an even number, the mean of the two in the middle. `null` where there are none. */
export const median = (values: ReadonlyArray<number>): number | null => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  if (sorted.length === 0) return null
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** Critical sections in the order in which they were entered. */
const inOrder = (reports: ReadonlyArray<Report>) =>
  reports.flatMap(({ visits }) => visits).toSorted(([a], [b]) => a - b)

/** How many critical sections were entered before an earlier one was left: 0 is mutual exclusion. */
export const overlaps = (reports: ReadonlyArray<Report>): number => {
  let left = Number.NEGATIVE_INFINITY
  let count = 0
  for (const visit of inOrder(reports)) {
    if (visit[0] < left) count++
    left = Math.max(left, visit[1])
  }
  return count
}

/** From each leaving of the critical section to the next entry, whoever's. */
export const handoffs = (reports: ReadonlyArray<Report>): ReadonlyArray<number> =>
  inOrder(reports).flatMap((visit, index, visits) =>
    index === 0 ? [] : [Math.max(0, visit[0] - visits[index - 1]![1])]
  )

/** All waits. Those that the end cut short count as long as they had lasted: what they would have come to is more. */
export const waits = (reports: ReadonlyArray<Report>): ReadonlyArray<number> =>
  reports.flatMap(({ unfinishedWait, waits }) => (unfinishedWait === undefined ? waits : [...waits, unfinishedWait]))

/** The figures of one round. Times are milliseconds. */
export interface Round {
  readonly acquisitions: number
  readonly perSecond: number
  readonly requestsPerAcquisition: number | null
  readonly conflictsPerAcquisition: number | null
  readonly watchEventsPerAcquisition: number | null
  readonly cpuPerAcquisition: number | null
  readonly waitP50: number | null
  readonly waitP99: number | null
  /** Whether waits that the end cut short reach into the last percent: p99 is then more than it says. */
  readonly isWaitP99AtLeast: boolean
  readonly handoffP50: number | null
  readonly jain: number | null
  readonly timeouts: number
  readonly errors: number
  readonly firstError?: string | undefined
  readonly overlaps: number
}

/** Computes them. `watchEvents` is what the server says that it sent. */
export const round = (
  reports: ReadonlyArray<Report>,
  { seconds, watchEvents }: { readonly seconds: number; readonly watchEvents: number | undefined }
): Round => {
  const counts = reports.map(({ visits }) => visits.length)
  const acquisitions = sum(counts)
  const each = (total: number): number | null => (acquisitions === 0 ? null : total / acquisitions)
  const waited = waits(reports).toSorted((a, b) => a - b)
  const p99 = quantile(waited, 0.99)
  return {
    acquisitions,
    perSecond: acquisitions / seconds,
    requestsPerAcquisition: each(sum(reports.map(({ requests }) => requests))),
    conflictsPerAcquisition: each(sum(reports.map(({ conflicts }) => conflicts))),
    watchEventsPerAcquisition: watchEvents === undefined ? null : each(watchEvents),
    cpuPerAcquisition: each(sum(reports.map(({ cpuMillis }) => cpuMillis))),
    waitP50: quantile(waited, 0.5),
    waitP99: p99,
    isWaitP99AtLeast: reports.some(({ unfinishedWait }) => p99 !== null && (unfinishedWait ?? 0) >= p99),
    handoffP50: quantile(
      handoffs(reports).toSorted((a, b) => a - b),
      0.5
    ),
    jain: fairness(counts).jain,
    timeouts: sum(reports.map(({ timeouts }) => timeouts)),
    errors: sum(reports.map(({ errors }) => errors)),
    firstError: reports.find(({ firstError }) => firstError !== undefined)?.firstError,
    overlaps: overlaps(reports)
  }
}

const sum = (numbers: ReadonlyArray<number>): number => numbers.reduce((total, number) => total + number, 0)
