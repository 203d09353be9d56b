/** A history in stretches of time: which lock stood when, who wanted it, who was valid, and who was left in peace. */
import type { History, LockOn, WishEnd, Written } from "./history.ts"
import { type HolderPlan, maxRetryAfter, type Plan } from "./plan.ts"

/** A stretch of time, in milliseconds. `Infinity` is an end that did not come. */
export interface Stretch {
  readonly from: number
  readonly to: number
}

/** A lock as it stood on the object until it was changed. */
export interface Standing extends Stretch {
  readonly lock: LockOn
}

/** A stretch in which nobody held the lock: it was free, or `lock` had expired. */
export interface Vacancy extends Stretch {
  readonly lock: LockOn | undefined
}

/** The locks of one owner in a row: `until` is the last expiry that was written. */
export interface Holding extends Stretch {
  readonly owner: string
  readonly until: number
}

/**
 * A wish of a holder, until it ended. `leaves` is when it failed, was given up, or began to release what it got; `over`
 * is when nothing of it was left to do.
 */
export interface Wish extends Stretch {
  readonly acquisition: string
  readonly holder: HolderPlan
  readonly end: WishEnd | undefined
  readonly leaves: number
  readonly over: number
}

/** A holder's belief that it holds the lock: since the acquiring write of that version. */
export interface Validity extends Stretch {
  readonly acquisition: string
  readonly version: number
}

/** A stretch in which a process was halted, cut off, or its watch broken; of the server, a restart. */
export interface Away extends Stretch {
  readonly process: string
  readonly what: string
}

/** The version of the write that a fencing token stems from. */
export const versionOf = (token: bigint): number => Number(token >> 20n)

/** The timeline. */
export interface Timeline {
  readonly plan: Plan
  readonly history: History
  readonly end: number
  readonly locks: ReadonlyArray<Standing>
  readonly vacancies: ReadonlyArray<Vacancy>
  readonly holdings: ReadonlyArray<Holding>
  readonly wishes: ReadonlyArray<Wish>
  readonly validity: ReadonlyArray<Validity>
  readonly crashes: ReadonlyMap<string, number>
  readonly aways: ReadonlyArray<Away>
  /** Since when nothing that went wrong can have kept the holder from its work at that time. */
  readonly peaceSince: (holder: HolderPlan, at: number) => number
  /** Whether something goes wrong for the holder in that time. */
  readonly isDisturbed: (holder: HolderPlan, stretch: Stretch) => boolean
}

/** Whether two locks are the same to whoever reads them. */
export const isSameLock = (a: LockOn | undefined, b: LockOn | undefined): boolean =>
  a?.owner === b?.owner && a?.until === b?.until

/** Draws the timeline of a history. */
export const make = (plan: Plan, history: History): Timeline => {
  const crashes = new Map(history.filter(({ _tag }) => _tag === "Crashed").map(({ at, process }) => [process, at]))
  const aways = awaysOf(history)
  const disturbances = [...aways, ...troublesOf(history)]
  const locks = locksOf(history)
  return {
    plan,
    history,
    end: history.at(-1)?.at ?? 0,
    locks,
    vacancies: vacanciesOf(history),
    holdings: holdingsOf(locks),
    wishes: wishesOf(plan, history),
    validity: validityOf(history),
    crashes,
    aways,
    peaceSince: (holder, at) =>
      at >= (crashes.get(holder.name) ?? Infinity)
        ? Infinity
        : disturbances
            .filter(({ from, process }) => from <= at && (process === holder.name || process === "server"))
            .reduce((since, { to }) => Math.max(since, to + aftermath(holder)), 0),
    isDisturbed: (holder, stretch) =>
      stretch.to >= (crashes.get(holder.name) ?? Infinity) ||
      disturbances.some(
        ({ from, process, to }) =>
          from <= stretch.to && to >= stretch.from && (process === holder.name || process === "server")
      )
  }
}

/** Whether the holder was left in peace all that time. */
export const inPeace = (line: Timeline, holder: HolderPlan, { from, to }: Stretch): boolean =>
  line.peaceSince(holder, to) <= from

/**
 * Whether a process has what it wants in that time, or believes so: its other contenders wait until it is through with it.
 */
export const isBusy = ({ wishes }: Timeline, holder: HolderPlan, { from, to }: Stretch): boolean =>
  wishes.some((wish) => wish.holder === holder && wish.end?._tag === "Granted" && wish.to <= to && wish.over >= from)

/** For how long a process was halted in that time. */
export const haltedFor = ({ aways }: Timeline, name: string, { from, to }: Stretch): number =>
  aways
    .filter(({ process, what }) => process === name && (what === "Stall" || what === "Suspend"))
    .reduce((sum, away) => sum + Math.max(0, Math.min(away.to, to) - Math.max(away.from, from)), 0)

/** The wishes that were granted the turn of this name, and the one that it is named after, in the order of time. */
export const wishesOfTurn = (line: Timeline, turn: string | undefined): ReadonlyArray<Wish> =>
  line.wishes.filter(({ acquisition, end }) => acquisition === turn || (end?._tag === "Granted" && end.turn === turn))

/** The plan of a holder; undefined for whoever is not one. */
export const holderOf = (plan: Plan, process: string): HolderPlan | undefined =>
  plan.holders.find(({ name }) => name === process)

// A request without an answer is waited for, and then a wish of the server is heeded.
const aftermath = ({ rate, requestTimeout }: HolderPlan): number => (requestTimeout + maxRetryAfter) / rate + 1

const changesOf = (history: History): ReadonlyArray<Written> =>
  history.flatMap((event) =>
    event._tag === "Written" && !isSameLock(event.before?.lock, event.after.lock) ? [event] : []
  )

const vacanciesOf = (history: History): ReadonlyArray<Vacancy> =>
  changesOf(history)
    .map(({ after: { lock }, at }, index, changes) => ({
      lock,
      from: Math.max(at, lock?.until ?? 0),
      to: changes[index + 1]?.at ?? Infinity
    }))
    .filter(({ from, to }) => from < to)

const locksOf = (history: History): ReadonlyArray<Standing> => {
  const changes = changesOf(history)
  return changes.flatMap(({ after: { lock }, at }, index) =>
    lock === undefined ? [] : [{ lock, from: at, to: changes[index + 1]?.at ?? Infinity }]
  )
}

const holdingsOf = (locks: ReadonlyArray<Standing>): ReadonlyArray<Holding> => {
  const holdings: Array<Holding> = []
  for (const { from, lock, to } of locks) {
    const last = holdings.at(-1)
    if (lock.owner === undefined) continue
    if (last?.owner === lock.owner && last.to === from)
      holdings[holdings.length - 1] = { ...last, to, until: lock.until }
    else holdings.push({ owner: lock.owner, from, to, until: lock.until })
  }
  return holdings
}

const wishesOf = (plan: Plan, history: History): ReadonlyArray<Wish> =>
  history.flatMap((event): ReadonlyArray<Wish> => {
    const holder = holderOf(plan, event.process)
    if (event._tag !== "Wished" || holder === undefined) return []
    const { acquisition, at } = event
    const mine = history.filter((other) => "acquisition" in other && other.acquisition === acquisition)
    const ended = mine.find((other) => other._tag === "WishEnded")
    const end = ended?._tag === "WishEnded" ? ended.end : undefined
    const to = ended?.at ?? Infinity
    const over = mine.find(({ _tag }) => _tag === "Released")?.at ?? Infinity
    const leaves = end?._tag === "Granted" ? (mine.find(({ _tag }) => _tag === "Releasing")?.at ?? Infinity) : to
    return [{ acquisition, holder, from: at, to, end, leaves, over }]
  })

const validityOf = (history: History): ReadonlyArray<Validity> =>
  history.flatMap((event, index) => {
    if (event._tag !== "Valid") return []
    const { acquisition, at, token } = event
    const ended = history.slice(index).find((other) => other._tag === "Invalid" && other.acquisition === acquisition)
    return [{ acquisition, version: versionOf(token), from: at, to: ended?.at ?? Infinity }]
  })

const troublesOf = (history: History) =>
  history.flatMap(({ _tag, at, process }) => (_tag === "Trouble" ? [{ process, from: at, to: at }] : []))

const awaysOf = (history: History): ReadonlyArray<Away> =>
  history.flatMap((event, index) => {
    if (event._tag !== "Away") return []
    const { at, process, what } = event
    const back = history
      .slice(index)
      .find((other) => other._tag === "Back" && other.process === process && other.what === what)
    return [{ process, what, from: at, to: back?.at ?? Infinity }]
  })
