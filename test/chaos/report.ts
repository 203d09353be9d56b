/** The report of a run: what was injected, what was survived, and what was not. */
import type { Findings } from "./ledger.ts"
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

/**
 * A holder after the injections: how long it took to get the lock again (`undefined` if it did not), how long it took to
 * stop after that, and what it logged.
 */
export interface Recovery {
  readonly name: string
  readonly after: number | undefined
  readonly stopping: number
  readonly log: string
}

/**
 * A whole run.
 *
 * - `others`: the holders of another version, if there are any.
 * - `refresh`: how often the token was rotated, how often after all faults had ended, the values that were spent twice,
 *   and what the processes logged. `undefined` if there was no token.
 * - `lockLeft`: the lock's annotations that stayed on the object after all holders had stopped.
 */
export interface Report {
  readonly title: string
  readonly kind: settings.Kind
  readonly seed: number
  readonly seconds: number
  readonly others: ReadonlyArray<string> | undefined
  readonly clocksShifted: boolean
  readonly injected: ReadonlyArray<Injected>
  readonly findings: Findings
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
  readonly recovered: ReadonlyArray<Recovery>
  readonly lockLeft: ReadonlyArray<string>
  readonly foreignWritten: number
  readonly foreignLost: ReadonlyArray<string>
}

/** How long each takeover after a crash took, if the server and at least one other holder were healthy. */
export const takeOvers = ({ findings, injected, recovered }: Report): ReadonlyArray<number> =>
  findings.crashes.flatMap(({ at, idleSince, name, next }) => {
    if (next === undefined) return []
    const isHealthy = (target: string, tail: number) =>
      !injected.some((one) => one.target === target && one.from < next && one.until + tail > at)
    return isHealthy(theServer, settings.retryAfter + settings.requestTimeout) &&
      recovered.some((other) => other.name !== name && isHealthy(other.name, 2 * settings.requestTimeout))
      ? [next - idleSince]
      : []
  })

/** How long it took until somebody wrote after each fault of the servers, if no other fault came between. */
export const resumptions = ({ findings, injected }: Report): ReadonlyArray<number> =>
  injected.flatMap((fault) => {
    if (fault.target !== theServer) return []
    const next = Math.min(...findings.writeTimes.filter((at) => at >= fault.until))
    const isDisturbed = injected.some((one) => one !== fault && one.until > fault.from && one.from < next)
    return isDisturbed ? [] : [next - fault.until]
  })

/** How often each version got the lock, and how often right after the other. */
interface Turns {
  readonly here: number
  readonly other: number
  readonly hereAfterOther: number
  readonly otherAfterHere: number
}

const turns = ({ findings: { stays } }: Report, others: ReadonlyArray<string>): Turns => {
  const isOther = stays.map(({ name }) => others.includes(name))
  const after = (other: boolean) => isOther.filter((is, index) => is === other && isOther[index - 1] === !other).length
  const total = isOther.filter((is) => is).length
  return { here: stays.length - total, other: total, hereAfterOther: after(false), otherAfterHere: after(true) }
}

/** The broken promises, one sentence each. */
export const problems = (report: Report): ReadonlyArray<string> => {
  const { findings } = report
  const slowest = Math.max(0, ...takeOvers(report))
  const longest = Math.max(0, ...resumptions(report))
  const { disorder, overlaps } = findings.exclusion
  const apart = report.others !== undefined && Object.values(turns(report, report.others)).some((count) => count === 0)
  const unaccounted = findings.overlaps["Unaccounted"] ?? 0
  return [
    findings.stays.length > 0 ? undefined : "no holder ever got the lock",
    apart ? "the two versions did not follow each other" : undefined,
    findings.staleAccepted === 0 ? undefined : `${findings.staleAccepted} stale writes were accepted`,
    overlaps.length === 0 ? undefined : `${overlaps.length} pairs of locks were valid at the same time`,
    disorder.length === 0 ? undefined : `${disorder.length} fencing tokens were not greater than an earlier one`,
    unaccounted === 0 ? undefined : `${unaccounted} holders stayed inside with another and never reported the loss`,
    slowest <= settings.takeOver ? undefined : `it took ${seconds(slowest)} to take over after a crash`,
    longest <= settings.resumption
      ? undefined
      : `nobody wrote for ${seconds(longest)} after a fault of the servers had ended`,
    ...(report.refresh?.reuses ?? []).map(
      ({ after, first, generation, second }) =>
        `value ${generation} of the token was lost: ${first} spent it, and ${second} again ${seconds(after)} later; they logged:\n${report.refresh?.logs.join("\n")}\n`
    ),
    report.refresh === undefined || report.refresh.atTheEnd > 0
      ? undefined
      : "the token was not rotated any more after all faults had ended",
    report.settled !== undefined
      ? undefined
      : `the servers did not answer within the request timeout for ${seconds(settings.settling)} after the last fault: this machine is too slow, and whether holders had the lock again is not judged`,
    ...report.recovered.map(({ after, log, name }) =>
      after === undefined && report.settled !== undefined
        ? `${name} did not get the lock again within ${seconds(settings.recoveryOf(report.recovered.length))} although nothing was injected any more; it logged:\n${log}\n`
        : undefined
    ),
    ...report.recovered.map(({ log, name, stopping }) =>
      stopping <= settings.stopping ? undefined : `${name} took ${seconds(stopping)} to stop; it logged:\n${log}\n`
    ),
    report.lockLeft.length === 0 ? undefined : `the lock was left behind: ${report.lockLeft.join(", ")}`,
    report.foreignLost.length === 0 ? undefined : `others' annotations were lost: ${report.foreignLost.join(", ")}`
  ].filter((problem) => problem !== undefined)
}

/** The report for programs: one object of JSON. */
export const record = (report: Report) => {
  const { findings, injected, kind, recovered, refresh, seconds, seed, settled, title } = report
  return {
    title,
    kind,
    seed,
    seconds,
    injected,
    acquisitions: findings.stays.length,
    writes: findings.writes,
    staleRefused: findings.staleRefused,
    staleAccepted: findings.staleAccepted,
    overlaps: findings.exclusion.overlaps.length,
    disorder: findings.exclusion.disorder.length,
    losses: findings.losses,
    failures: findings.failures,
    longestGap: findings.longestGap,
    takeOvers: takeOvers(report),
    resumptions: resumptions(report),
    settled,
    recovered: recovered.map(({ after, name, stopping }) => ({ name, after, stopping })),
    refresh,
    problems: problems(report)
  }
}

const nouns: Readonly<Record<settings.Kind, string>> = {
  lock: "a lock",
  election: "an election",
  semaphore: "a semaphore",
  shared: "a shared lock",
  session: "two locks under sessions"
}

/** The report for people. */
export const format = (report: Report): string => {
  const { findings, injected } = report
  const kinds = new Map<string, number>()
  for (const { kind } of injected) kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
  const after = takeOvers(report)
  const resumed = resumptions(report)
  const broken = problems(report)
  const survived: ReadonlyArray<readonly [string, string | number]> = [
    ["acquisitions", findings.stays.length],
    ...(report.others === undefined ? [] : besides(turns(report, report.others))),
    ["acquisitions that failed", list(findings.failures)],
    ["writes accepted", findings.writes],
    ["losses that holders noticed", list(findings.losses)],
    ["still inside when the next holder entered, by their end", list(findings.overlaps)],
    ["stale writes refused by the fence", findings.staleRefused],
    ["stale writes accepted", findings.staleAccepted],
    ["pairs of locks that were valid at the same time", findings.exclusion.overlaps.length],
    ["crashes while holding", findings.crashes.length],
    [
      `taken over after a crash, undisturbed (bound ${seconds(settings.takeOver)})`,
      after.length === 0 ? "none" : after.map(seconds).join(", ")
    ],
    ["longest time without a holder", seconds(findings.longestGap)],
    [
      `somebody wrote after a fault of the servers, undisturbed (bound ${seconds(settings.resumption)})`,
      resumed.length === 0 ? "none" : resumed.map(seconds).join(", ")
    ],
    ...(report.refresh === undefined
      ? []
      : [
          [
            "rotations of the token / values spent twice",
            `${report.refresh.rotations} / ${report.refresh.reuses.length}`
          ] as const
        ]),
    [
      "servers answered in time after the last fault",
      report.settled === undefined ? "never" : `after ${seconds(report.settled)}`
    ],
    [
      `holders had the lock again within (bound ${seconds(settings.recoveryOf(report.recovered.length))})`,
      report.recovered.map(({ after }) => (after === undefined ? "never" : seconds(after))).join(", ")
    ],
    [
      "from SIGTERM to a holder's exit, the lock released",
      report.recovered.map(({ stopping }) => seconds(stopping)).join(", ")
    ],
    ["others' annotations written / lost", `${report.foreignWritten} / ${report.foreignLost.length}`]
  ]
  return [
    "",
    `chaos of ${nouns[report.kind]} on ${report.title}, seed ${report.seed}, ${report.seconds} s of injections`,
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
    broken.length === 0 ? "no promise was broken" : `BROKEN: ${broken.join("; ")}`,
    ""
  ].join("\n")
}

const besides = (turns: Turns): ReadonlyArray<readonly [string, string]> => [
  ["of this version / of the other", `${turns.here} / ${turns.other}`],
  ["this version after the other / the other after this", `${turns.hereAfterOther} / ${turns.otherAfterHere}`]
]

const table = (rows: ReadonlyArray<readonly [string, string | number]>): ReadonlyArray<string> =>
  rows.map(([what, value]) => `  ${what.padEnd(58)}  ${value}`)

const list = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .map(([what, count]) => `${what} ${count}`)
    .join(", ") || "none"

const seconds = (millis: number): string => `${(millis / 1000).toFixed(1)} s`
