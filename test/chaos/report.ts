/** The report of a run: what was injected, what was survived, and what was not. */
import * as Injections from "./injections.ts"
import { brokenBesides, type Findings, writtenAgain } from "./ledger.ts"
import type { Reuse } from "./provider.ts"
import * as settings from "./settings.ts"

/** The target of a fault of the API server. */
export const theServer = "the API server"

/** One injection. `until` is the time at which the target was healthy again. */
export interface Injected {
  readonly kind: string
  readonly target: string
  readonly from: number
  until: number
}

/** A holder after the injections: how long it took to stop once it had had each lock again, and what it logged. */
export interface Holder {
  readonly name: string
  readonly stopping: number
  readonly log: string
}

/**
 * What became of the lock of one kind.
 *
 * - `after`: how long each holder took to get it again after the injections; `undefined` if it did not.
 * - `left`: the lock's annotations that stayed on the object after all holders had stopped.
 * - `unfenced`: the Leases of sessions whose shards others took without having fenced them.
 */
export interface OfLock {
  readonly kind: settings.Kind
  readonly findings: Findings
  readonly after: ReadonlyArray<number | undefined>
  readonly left: ReadonlyArray<string>
  readonly unfenced: ReadonlyArray<string>
  readonly foreignWritten: number
  readonly foreignLost: ReadonlyArray<string>
}

/**
 * A whole run.
 *
 * - `others`: the holders of another version, if there are any.
 * - `refresh`: how often the token was rotated, how often after all faults had ended, the values that were spent twice,
 *   and what the processes logged. `undefined` if there was no token.
 */
export interface Report {
  readonly title: string
  readonly seed: number
  readonly seconds: number
  readonly others: ReadonlyArray<string> | undefined
  readonly clocksShifted: boolean
  readonly injected: ReadonlyArray<Injected>
  readonly refresh:
    | {
        readonly rotations: number
        readonly atTheEnd: number
        readonly reuses: ReadonlyArray<Reuse>
        readonly logs: ReadonlyArray<string>
      }
    | undefined
  /** How long after the last fault the servers answered in time again; `undefined` if they did not. In milliseconds. */
  readonly settled: number | undefined
  readonly holders: ReadonlyArray<Holder>
  readonly locks: ReadonlyArray<OfLock>
}

/** How long each takeover after a crash took, if the server and at least one other holder were healthy. */
const takeOvers = ({ holders, injected }: Report, { findings }: OfLock): ReadonlyArray<number> =>
  findings.crashes.flatMap(({ at, idleSince, name, next }) => {
    if (next === undefined) return []
    const isHealthy = (target: string, tail: number) =>
      !injected.some((one) => one.target === target && one.from < next && one.until + tail > at)
    return isHealthy(theServer, settings.retryAfter + settings.requestTimeout) &&
      holders.some((other) => other.name !== name && isHealthy(other.name, 2 * settings.requestTimeout))
      ? [next - idleSince]
      : []
  })

/** How long it took until somebody wrote, to each shard, after each fault of the servers, if no other fault came between. */
const resumptions = ({ injected }: Report, { findings }: OfLock): ReadonlyArray<number> =>
  injected.flatMap((fault) => {
    if (fault.target !== theServer) return []
    const next = writtenAgain(findings, fault.until)
    const isDisturbed = injected.some((one) => one !== fault && one.until > fault.from && one.from < next)
    return isDisturbed ? [] : [next - fault.until]
  })

/** How many locks were kept while the event loop of their holder was blocked, and how many were lost to other faults meanwhile. */
const stalls = ({ injected }: Report, { findings, kind }: OfLock) => {
  const kept = injected.flatMap(({ from, kind: fault, target, until }) => {
    if (kind !== "session" || fault !== Injections.stall) return []
    return findings.stays
      .filter(({ end, entered, name }) => name === target && entered < from && (end?.at ?? until) > from)
      .filter(({ end }) => end?.how !== "Left" || end.at >= until)
      .map(({ lastWrite }) => lastWrite >= until)
  })
  return { kept: kept.filter((is) => is).length, lost: kept.filter((is) => !is).length }
}

/** How often each version got the lock, and how often right after the other. */
interface Turns {
  readonly here: number
  readonly other: number
  readonly hereAfterOther: number
  readonly otherAfterHere: number
}

const turns = ({ findings: { stays } }: OfLock, others: ReadonlyArray<string>): Turns => {
  const isOther = stays.map(({ name }) => others.includes(name))
  const after = (other: boolean) => isOther.filter((is, index) => is === other && isOther[index - 1] === !other).length
  const total = isOther.filter((is) => is).length
  return { here: stays.length - total, other: total, hereAfterOther: after(false), otherAfterHere: after(true) }
}

/** The broken promises, one sentence each. */
export const problems = (report: Report): ReadonlyArray<string> => {
  const { holders, refresh, settled } = report
  return [
    ...report.locks.flatMap((lock) => problemsOf(report, lock).map((problem) => `${lock.kind}: ${problem}`)),
    ...(refresh?.reuses ?? []).map(
      ({ after, first, generation, second }) =>
        `value ${generation} of the token was lost: ${first} spent it, and ${second} again ${seconds(after)} later; they logged:\n${refresh?.logs.join("\n")}\n`
    ),
    refresh === undefined || refresh.atTheEnd > 0
      ? undefined
      : "the token was not rotated any more after all faults had ended",
    settled !== undefined
      ? undefined
      : `the servers did not answer within the request timeout for ${seconds(settings.settling)} after the last fault: this machine is too slow, and whether holders had the locks again is not judged`,
    ...holders.map(({ name, stopping }) =>
      stopping <= stoppingOf(report) ? undefined : `${name} took ${seconds(stopping)} to stop`
    ),
    ...holders
      .filter(
        ({ stopping }, place) =>
          stopping > stoppingOf(report) || report.locks.some((lock) => lacks(report, lock, place))
      )
      .map(({ log, name }) => `${name} logged:\n${log}\n`)
  ].filter((problem) => problem !== undefined)
}

/** Whether the holder in this place did not have a lock again. Nobody judges that on servers that did not answer in time. */
const lacks = ({ settled }: Report, { after }: OfLock, place: number): boolean =>
  settled !== undefined && after[place] === undefined

const stoppingOf = ({ locks }: Report) => settings.stoppingOf(locks.map(({ kind }) => kind))

const problemsOf = (report: Report, lock: OfLock): ReadonlyArray<string> => {
  const { findings } = lock
  const slowest = Math.max(0, ...takeOvers(report, lock))
  const longest = Math.max(0, ...resumptions(report, lock))
  const { disorder, overlaps } = findings.exclusion
  const apart = report.others !== undefined && Object.values(turns(lock, report.others)).some((count) => count === 0)
  const unaccounted = findings.overlaps["Unaccounted"] ?? 0
  return [
    findings.stays.length > 0 ? undefined : "no holder ever got it",
    apart ? "the two versions did not follow each other" : undefined,
    findings.staleAccepted === 0 ? undefined : `${findings.staleAccepted} stale writes were accepted`,
    overlaps.length === 0 ? undefined : `${overlaps.length} pairs of locks were valid at the same time`,
    disorder.length === 0 ? undefined : `${disorder.length} fencing tokens were not greater than an earlier one`,
    ...brokenBesides(findings),
    unaccounted === 0 ? undefined : `${unaccounted} holders stayed inside with another and never reported the loss`,
    slowest <= settings.takeOver ? undefined : `it took ${seconds(slowest)} to take over after a crash`,
    longest <= settings.resumption
      ? undefined
      : `nobody wrote for ${seconds(longest)} after a fault of the servers had ended`,
    ...report.holders.map(({ name }, place) =>
      lacks(report, lock, place)
        ? `${name} did not get it again within ${seconds(settings.recoveryOf(report.holders.length))} although nothing was injected any more`
        : undefined
    ),
    lock.unfenced.length === 0 ? undefined : `nobody had fenced the sessions of ${lock.unfenced.join(", ")}`,
    lock.left.length === 0 ? undefined : `it was left behind: ${lock.left.join(", ")}`,
    lock.foreignLost.length === 0 ? undefined : `others' annotations were lost: ${lock.foreignLost.join(", ")}`
  ].filter((problem) => problem !== undefined)
}

/** The report for programs: one object of JSON. */
export const record = (report: Report) => {
  const { holders, injected, locks, refresh, seconds, seed, settled, title } = report
  return {
    title,
    seed,
    seconds,
    injected,
    settled,
    stopping: holders.map(({ stopping }) => stopping),
    locks: locks.map((lock) => {
      const { after, findings, kind } = lock
      return {
        kind,
        acquisitions: findings.stays.length,
        writes: findings.writes,
        staleRefused: findings.staleRefused,
        staleAccepted: findings.staleAccepted,
        late: findings.late,
        overlaps: findings.exclusion.overlaps.length,
        disorder: findings.exclusion.disorder.length,
        losses: findings.losses,
        failures: findings.failures,
        longestGap: findings.longestGap,
        takeOvers: takeOvers(report, lock),
        resumptions: resumptions(report, lock),
        stalls: stalls(report, lock),
        runs: findings.runs,
        after
      }
    }),
    refresh,
    problems: problems(report)
  }
}

/** The report for people, with a column for the lock of each kind. */
export const format = (report: Report): string => {
  const { holders, injected, locks, others, refresh, settled } = report
  const kinds = new Map<string, number>()
  for (const { kind } of injected) kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
  const broken = problems(report)
  const row = (what: string, of: (lock: OfLock) => string | number): Row => [what, ...locks.map(of)]
  const found = (what: string, of: (findings: Findings) => string | number) => row(what, ({ findings }) => of(findings))
  const survived: ReadonlyArray<Row> = [
    row("", ({ kind }) => kind),
    found("acquisitions", ({ stays }) => stays.length),
    ...(others === undefined ? [] : besides(row, others)),
    found("acquisitions that failed", ({ failures }) => total(failures)),
    found("writes accepted", ({ writes }) => writes),
    found("losses that holders noticed", ({ losses }) => total(losses)),
    found("still inside when the next holder entered", ({ overlaps }) => total(overlaps)),
    found("stale writes refused by the fence", ({ staleRefused }) => staleRefused),
    found("stale writes accepted", ({ staleAccepted }) => staleAccepted),
    row("writes to a shard after its next runner had begun, which no token refuses", ({ findings: { late }, kind }) =>
      kind === "shards" ? late : ""
    ),
    found("pairs of locks that were valid at the same time", ({ exclusion }) => exclusion.overlaps.length),
    found("crashes while holding", ({ crashes }) => crashes.length),
    row(`taken over after a crash, undisturbed (bound ${seconds(settings.takeOver)})`, (lock) =>
      longest(takeOvers(report, lock))
    ),
    found("longest time without a holder", ({ longestGap }) => seconds(longestGap)),
    row(`somebody wrote after a fault of the servers, undisturbed (bound ${seconds(settings.resumption)})`, (lock) =>
      longest(resumptions(report, lock))
    ),
    row("runs recorded / begun again", ({ findings: { runs }, kind }) =>
      kind === "once" ? `${runs.recorded} / ${runs.repeated}` : ""
    ),
    row("kept / lost while the event loop was blocked", (lock) => {
      const { kept, lost } = stalls(report, lock)
      return `${kept} / ${lost}`
    }),
    row(`each holder had it again within (bound ${seconds(settings.recoveryOf(holders.length))})`, ({ after }) =>
      longest(after)
    ),
    row("others' annotations written / lost", ({ foreignLost, foreignWritten }) =>
      [foreignWritten, foreignLost.length].join(" / ")
    )
  ]
  const ofAll: ReadonlyArray<Row> = [
    ...(refresh === undefined
      ? []
      : [["rotations of the token / values spent twice", `${refresh.rotations} / ${refresh.reuses.length}`] as const]),
    ["servers answered in time after the last fault", settled === undefined ? "never" : `after ${seconds(settled)}`],
    [
      `from SIGTERM to a holder's exit, the locks released (bound ${seconds(stoppingOf(report))})`,
      longest(holders.map(({ stopping }) => stopping))
    ]
  ]
  return [
    "",
    `chaos on ${report.title}, seed ${report.seed}, ${report.seconds} s of injections`,
    "",
    "injected",
    ...table([...kinds].toSorted(([a], [b]) => (a < b ? -1 : 1))),
    report.clocksShifted
      ? "  two holders went by clocks that were 5 minutes ahead and behind"
      : "  NOT injected: shifted clocks, libfaketime is not installed (Debian: apt-get install faketime)",
    "",
    "survived",
    ...table(survived),
    "",
    ...table(ofAll),
    "",
    broken.length === 0 ? "no promise was broken" : `BROKEN: ${broken.join("; ")}`,
    ""
  ].join("\n")
}

const besides = (
  row: (what: string, of: (lock: OfLock) => string) => Row,
  others: ReadonlyArray<string>
): ReadonlyArray<Row> => [
  row("of this version / of the other", (lock) => {
    const { here, other } = turns(lock, others)
    return `${here} / ${other}`
  }),
  row("this version after the other / the other after this", (lock) => {
    const { hereAfterOther, otherAfterHere } = turns(lock, others)
    return `${hereAfterOther} / ${otherAfterHere}`
  })
]

/** What is told, and its values. */
type Row = readonly [string, ...ReadonlyArray<string | number>]

const table = (rows: ReadonlyArray<Row>): ReadonlyArray<string> =>
  rows.map(([what, ...values]) => `  ${what.padEnd(81)}${values.map((value) => String(value).padStart(11)).join("")}`)

const total = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((sum, count) => sum + count, 0)

/** The longest of these times, and how many there are. */
const longest = (times: ReadonlyArray<number | undefined>): string => {
  const known = times.filter((time) => time !== undefined)
  if (known.length < times.length) return "never"
  return known.length === 0 ? "none" : `${seconds(Math.max(...known))} (${known.length})`
}

const seconds = (millis: number): string => `${(millis / 1000).toFixed(1)} s`
