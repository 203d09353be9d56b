/**
 * All that the holders reported to the witness, and what it proves: plain data, no clock.
 *
 * **Details**
 *
 * - The fence refuses a write whose token is smaller than one that it has already seen. Without the fence such a write is
 *   accepted, and counted. Where holders share, a write of one that has all permits must not be older than any other, and that of
 *   another holder must not be older than one with all permits.
 * - Exclusion is judged apart from the fence, from the moments at which holders called their lock valid
 *   (`src/testing/internal/exclusion.ts`).
 * - What has no fencing token is not fenced. Which of two stays is the newer one is then told by the times at which they began.
 */
import * as exclusion from "../../src/testing/internal/exclusion.ts"
import { type Claim, type Ending, revivedTag, type Run, type Testimony } from "./testimony.ts"

/** One acquisition, from its first write to the last that is known of it. */
export interface Stay {
  readonly name: string
  readonly holder: string
  /** A shard has none. */
  readonly token: bigint | undefined
  readonly permits: number
  /** When the run was due whose work it was, in seconds. Only `Once` has runs. */
  readonly due: number | undefined
  /** The machine id of the runner. Only a runner with shards has one. */
  readonly machine: number | undefined
  readonly entered: number
  /** The last moment at which the holder called its lock valid. `undefined` if it never asked. */
  lastValid: number | undefined
  /** Its last write that was not stale. */
  lastWrite: number
  end: { readonly how: "Left" | "Crashed" | Ending["how"]; readonly at: number } | undefined
}

/**
 * A process that was killed while it held the lock, and the time at which the next one entered that takes all permits. `idleSince`: since
 * when nobody was inside then, as far as is known.
 */
export interface Crash {
  readonly name: string
  readonly token: bigint | undefined
  readonly at: number
  readonly idleSince: number
  readonly next: number | undefined
}

/**
 * What the records prove.
 *
 * - `stays`: all acquisitions, by token; without tokens by time.
 * - `writeTimes`: when each accepted write was made, to each thing that is protected: one, or each shard.
 * - `staleRefused`, `staleAccepted`: writes with a smaller token than one already seen.
 * - `late`: writes without a token of a holder that a newer one had followed. Nothing refuses them.
 * - `exclusion`: stays that were valid at the same time, and stays whose token is not greater than an earlier one's.
 * - `overlaps`: stays that had not ended when one began for which they left too few permits, by how they ended. The holder noticed
 *   the loss, the fence refused it, it was killed, it was asked to stop, or (`Unaccounted`) none of these.
 * - `losses`: by reason. `failures`: acquisitions that failed, by tag.
 * - `longestGap`: the longest time in which no holder is known.
 * - `runs`: those of `Once`.
 * - `machineIds`: pairs of runners that had the same machine id at the same time.
 */
export interface Findings {
  readonly stays: ReadonlyArray<Stay>
  readonly writes: number
  readonly writeTimes: ReadonlyArray<ReadonlyArray<number>>
  readonly staleRefused: number
  readonly staleAccepted: number
  readonly late: number
  readonly exclusion: exclusion.Findings<Validity>
  readonly overlaps: Readonly<Record<string, number>>
  readonly losses: Readonly<Record<string, number>>
  readonly failures: Readonly<Record<string, number>>
  readonly longestGap: number
  readonly crashes: ReadonlyArray<Crash>
  readonly runs: Runs
  readonly machineIds: number
}

/**
 * The runs of `Once`.
 *
 * - `recorded`: those whose process was told that they were recorded.
 * - `repeated`: stays for a run that had been recorded, or for an earlier one. Tokens tell which came later. A process whose record got no
 *   answer looks at the object later, and cannot tell its record from that of the process that did the run again when the lease was over.
 *   So its record counts only if it was told before that other one was.
 * - `undone`: how often a process was told that a run was done when nobody had ended its work, or that of a later one.
 */
export interface Runs {
  readonly recorded: number
  readonly repeated: number
  readonly undone: number
}

/** The promises of `Once`, and those of runners, that were broken: one sentence each. */
export const brokenBesides = ({ failures, machineIds, runs }: Findings): ReadonlyArray<string> => {
  const { repeated, undone } = runs
  const { [revivedTag]: revived = 0 } = failures
  return [
    revived === 0 ? "" : `${revived} times a refresh named a shard that its runner had lost`,
    machineIds === 0 ? "" : `${machineIds} pairs of runners had the same machine id at the same time`,
    repeated === 0 ? "" : `${repeated} runs were begun although they, or later ones, had been recorded`,
    undone === 0 ? "" : `${undone} times a process was told that a run was done which nobody had done`
  ].filter((sentence) => sentence !== "")
}

/** A moment at which a process entered, or was told that the run that it had asked for was done. */
export interface Served {
  readonly name: string
  readonly at: number
}

/** A stay as an interval: from its entry to the last moment at which its lock was called valid. */
export interface Validity extends exclusion.Interval {
  readonly stay: Stay
}

/** When everything that is protected had been written to again, after a moment. `Infinity` if something was not. */
export const writtenAgain = ({ writeTimes }: Findings, since: number): number =>
  Math.max(...writeTimes.map((times) => Math.min(...times.filter((at) => at >= since))))

/** What each of these has not been served with after a moment: one word for each, such as `semaphore/holder-1`. */
export const unserved = (
  books: Readonly<Record<string, Pick<Book, "lastServed">>>,
  names: ReadonlyArray<string>,
  since: number
): ReadonlyArray<string> =>
  Object.entries(books).flatMap(([kind, { lastServed }]) =>
    names.filter((name) => (lastServed.get(name) ?? 0) <= since).map((name) => `${kind}/${name}`)
  )

/**
 * What a witness keeps.
 *
 * - `take`: takes a testimony. Returns false if the fence refuses the write.
 * - `crashed`: records that a process was killed.
 * - `inside`: the process that is inside, as far as is known: the newest one if there are several.
 * - `served`, `lastServed`: when processes were served, and when each was served last.
 */
export interface Book {
  readonly take: (testimony: Testimony) => boolean
  readonly crashed: (name: string, at: number) => void
  readonly inside: string | undefined
  readonly served: ReadonlyArray<Served>
  readonly lastServed: ReadonlyMap<string, number>
  readonly findings: Findings
}

/** The book of a lock. `limit` is how many permits there are in all. */
export class Ledger implements Book {
  readonly #limit: number
  readonly #stays = new Map<string, Stay>()
  readonly #losses = new Map<string, number>()
  readonly #failures = new Map<string, number>()
  readonly #crashes: Array<Stay> = []
  readonly #writeTimes: Array<number> = []
  readonly #served: Array<Served> = []
  readonly #lastServed = new Map<string, number>()
  /** When the process of a holder was told that its run was recorded. */
  readonly #recorded = new Map<string, number>()
  #undone = 0
  #latestDone = Number.NEGATIVE_INFINITY
  #newest = 0n
  #newestOfAll = 0n
  #writes = 0
  #staleRefused = 0
  #staleAccepted = 0
  #late = 0

  constructor(limit = 1) {
    this.#limit = limit
  }

  take(testimony: Testimony): boolean {
    switch (testimony._tag) {
      case "Claim":
        return this.#claim(testimony)
      case "Ending": {
        if (testimony.how === "Lost") count(this.#losses, testimony.reason ?? "no reason")
        const stay = this.#stays.get(testimony.holder)
        if (stay !== undefined) stay.end ??= { how: testimony.how, at: testimony.at }
        return true
      }
      case "Run":
        this.#run(testimony)
        return true
      case "Failure":
        count(this.#failures, testimony.tag)
        return true
    }
  }

  crashed(name: string, at: number): void {
    for (const stay of this.#stays.values()) {
      if (stay.name !== name || stay.end !== undefined) continue
      stay.end = { how: "Crashed", at }
      if (this.#isCurrent(stay)) this.#crashes.push(stay)
    }
  }

  get inside(): string | undefined {
    const inside = [...this.#stays.values()].filter((stay) => stay.end === undefined && this.#isCurrent(stay))
    return inside.toSorted((a, b) => (orderOf(a) > orderOf(b) ? -1 : 1))[0]?.name
  }

  #hasAll({ permits = 1 }: Pick<Claim, "permits">): boolean {
    return permits >= this.#limit
  }

  /** Whether no newer holder has the permits of this one, as far as is known. */
  #isCurrent(stay: Stay): boolean {
    return orderOf(stay) >= (this.#hasAll(stay) ? this.#newest : this.#newestOfAll)
  }

  get lastServed(): ReadonlyMap<string, number> {
    return this.#lastServed
  }

  get served(): ReadonlyArray<Served> {
    return this.#served
  }

  get findings(): Findings {
    const stays = [...this.#stays.values()].toSorted((a, b) =>
      orderOf(a) < orderOf(b) ? -1 : orderOf(a) > orderOf(b) ? 1 : 0
    )
    let longestGap = 0
    let lastWrite = stays[0]?.entered ?? 0
    for (const stay of stays) {
      longestGap = Math.max(longestGap, stay.entered - lastWrite)
      lastWrite = Math.max(lastWrite, stay.lastWrite)
    }
    const overlaps = new Map<string, number>()
    for (const { end } of this.#overtaken(stays)) {
      const how = end?.how ?? "Left"
      count(overlaps, how === "Left" ? "Unaccounted" : how)
    }
    return {
      stays,
      writes: this.#writes,
      writeTimes: [this.#writeTimes],
      staleRefused: this.#staleRefused,
      staleAccepted: this.#staleAccepted,
      late: this.#late,
      exclusion: exclusion.check(validities(stays), this.#limit),
      overlaps: Object.fromEntries(overlaps),
      losses: Object.fromEntries(this.#losses),
      failures: Object.fromEntries(this.#failures),
      longestGap,
      crashes: this.#crashes.map((crashed) => this.#crashOf(crashed, stays)),
      runs: { recorded: this.#recorded.size, repeated: this.#repeated(stays), undone: this.#undone },
      machineIds: 0
    }
  }

  #repeated(stays: ReadonlyArray<Stay>): number {
    const records: Array<{ readonly at: number; readonly due: number }> = []
    let repeated = 0
    for (const { due = Number.POSITIVE_INFINITY, holder } of stays) {
      const recordedAt = this.#recorded.get(holder) ?? Number.POSITIVE_INFINITY
      if (records.some((earlier) => due < earlier.due || (due === earlier.due && earlier.at < recordedAt))) repeated++
      if (this.#recorded.has(holder)) records.push({ at: recordedAt, due })
    }
    return repeated
  }

  #run({ at, due, holder, name }: Run): void {
    if (holder !== undefined) return void this.#recorded.set(holder, at)
    if (due > this.#latestDone) this.#undone++
    this.#serve(name, at)
  }

  #serve(name: string, at: number): void {
    this.#served.push({ name, at })
    this.#lastServed.set(name, Math.max(at, this.#lastServed.get(name) ?? 0))
  }

  /** The stays that had not ended when a newer one entered for which they left too few permits. */
  #overtaken(stays: ReadonlyArray<Stay>): ReadonlySet<Stay> {
    const overtaken = new Set<Stay>()
    for (const [index, newer] of stays.entries()) {
      const inside = stays.slice(0, index).filter(({ end }) => newer.entered < (end?.at ?? Number.POSITIVE_INFINITY))
      const unaccounted = inside.filter(({ end }) => end === undefined || end.how === "Left")
      const isOver = (older: ReadonlyArray<Stay>) => exclusion.permitsOf([...older, newer]) > this.#limit
      if (!isOver(inside)) continue
      for (const older of isOver(unaccounted) ? inside : inside.filter((stay) => !unaccounted.includes(stay))) {
        overtaken.add(older)
      }
    }
    return overtaken
  }

  #crashOf(crashed: Stay, stays: ReadonlyArray<Stay>): Crash {
    const { end, name, token } = crashed
    const at = end!.at
    const next = stays.find((stay) => orderOf(stay) > orderOf(crashed) && this.#hasAll(stay))?.entered
    const before = stays.filter((stay) => stay !== crashed && stay.entered < (next ?? at))
    const idleSince = this.#limit === 1 ? at : Math.max(at, ...before.map(({ end, lastWrite }) => end?.at ?? lastWrite))
    return { name, token, at, idleSince, next }
  }

  #claim(claim: Claim): boolean {
    const { at, checked, due, fenced, holder, machine, name, permits = 1, step, token } = claim
    let stay = this.#stays.get(holder)
    if (stay === undefined) {
      stay = {
        name,
        holder,
        token,
        permits,
        due,
        machine,
        entered: at,
        lastValid: undefined,
        lastWrite: at,
        end: undefined
      }
      this.#stays.set(holder, stay)
      this.#serve(name, at)
    }
    if (checked) stay.lastValid = at
    const order = orderOf(stay)
    if (!this.#isCurrent(stay)) {
      if (token === undefined) this.#late++
      else if (fenced) {
        this.#staleRefused++
        return false
      } else this.#staleAccepted++
    } else {
      if (order > this.#newest) this.#newest = order
      if (this.#hasAll(stay)) this.#newestOfAll = order
      stay.lastWrite = at
    }
    this.#writes++
    this.#writeTimes.push(at)
    if (step === "Leave") {
      stay.end ??= { how: "Left", at }
      if (due !== undefined) this.#latestDone = Math.max(this.#latestDone, due)
    }
    return true
  }
}

/** What tells which of two stays is the newer one: the token, or the time at which it began if there is none. */
const orderOf = ({ entered, token }: Stay): bigint => token ?? BigInt(Math.round(entered * 1e6))

/**
 * The intervals to judge. A holder that never asks whether its lock is valid counts at its entry, unless a newer holder had
 * already entered. In that case the lock was lost before the holder used it, and the fence alone protects.
 */
const validities = (stays: ReadonlyArray<Stay>): ReadonlyArray<Validity> =>
  stays.flatMap((stay): ReadonlyArray<Validity> => {
    const { entered: start, lastValid, permits, token } = stay
    if (lastValid !== undefined) return [{ stay, start, end: lastValid, token, permits }]
    const isLate = stays.some((other) => orderOf(other) > orderOf(stay) && other.entered < start)
    return isLate ? [] : [{ stay, start, end: start, token, permits }]
  })

const count = (counts: Map<string, number>, key: string): void => void counts.set(key, (counts.get(key) ?? 0) + 1)
