/** What a run injected, what was survived, and what was not. */
import type { Findings } from "./ledger.ts"
import * as settings from "./settings.ts"

/** The target of what is done to the API server. */
export const theServer = "the API server"

/** One injection, with the time at which all was well again. */
export interface Injected {
  readonly kind: string
  readonly target: string
  readonly from: number
  until: number
}

/**
 * A holder after the injections: when it had the lock again (if it did), how long it took to stop after that, and what
 * it logged.
 */
export interface Recovery {
  readonly name: string
  readonly after: number | undefined
  readonly stopping: number
  readonly log: string
}

/** A whole run. `lockLeft` are the lock's annotations that were on the object after all holders had stopped. */
export interface Report {
  readonly server: string
  readonly version: string
  readonly seed: number
  readonly seconds: number
  readonly clocksShifted: boolean
  readonly injected: ReadonlyArray<Injected>
  readonly findings: Findings
  readonly recovered: ReadonlyArray<Recovery>
  readonly lockLeft: ReadonlyArray<string>
  readonly foreignWritten: number
  readonly foreignLost: ReadonlyArray<string>
}

/** How long the others took to take over after a crash, where the server and one of them at least were well. */
export const takeOvers = ({ findings, injected, recovered }: Report): ReadonlyArray<number> =>
  findings.crashes.flatMap(({ at, name, next }) => {
    if (next === undefined) return []
    const isWell = (target: string, tail: number) =>
      !injected.some((one) => one.target === target && one.from < next && one.until + tail > at)
    return isWell(theServer, settings.retryAfter + settings.requestTimeout) &&
      recovered.some((other) => other.name !== name && isWell(other.name, 2 * settings.requestTimeout))
      ? [next - at]
      : []
  })

/** The promises that were broken, a sentence each. */
export const problems = (report: Report): ReadonlyArray<string> => {
  const { findings } = report
  const slowest = Math.max(0, ...takeOvers(report))
  const unaccounted = findings.overlaps["Unaccounted"] ?? 0
  return [
    findings.stays.length > 0 ? undefined : "nobody ever held the lock",
    findings.staleAccepted === 0 ? undefined : `${findings.staleAccepted} stale writes were accepted`,
    findings.bothValid.length === 0 ? undefined : `${findings.bothValid.length} pairs were valid at the same time`,
    findings.sharedTokens === 0 ? undefined : `${findings.sharedTokens} acquisitions shared a fencing token`,
    unaccounted === 0 ? undefined : `${unaccounted} holders stayed inside with another and never noticed`,
    slowest <= settings.takeOver ? undefined : `it took ${seconds(slowest)} to take over after a crash`,
    ...report.recovered.map(({ after, log, name }) =>
      after === undefined
        ? `${name} did not get the lock again within ${seconds(settings.recovery)} though all was well; it logged:\n${log}\n`
        : undefined
    ),
    ...report.recovered.map(({ name, stopping }) =>
      stopping <= settings.stopping ? undefined : `${name} took ${seconds(stopping)} to stop`
    ),
    report.lockLeft.length === 0 ? undefined : `the lock was left behind: ${report.lockLeft.join(", ")}`,
    report.foreignLost.length === 0 ? undefined : `others' annotations were lost: ${report.foreignLost.join(", ")}`
  ].filter((problem) => problem !== undefined)
}

/** The report for people. */
export const format = (report: Report): string => {
  const { findings, injected } = report
  const kinds = new Map<string, number>()
  for (const { kind } of injected) kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
  const after = takeOvers(report)
  const broken = problems(report)
  const survived: ReadonlyArray<readonly [string, string | number]> = [
    ["acquisitions", findings.stays.length],
    ["acquisitions that failed", list(findings.failures)],
    ["writes accepted", findings.writes],
    ["losses noticed", list(findings.losses)],
    ["still inside when the next one came, by how that ended", list(findings.overlaps)],
    ["stale writes refused by the fence", findings.staleRefused],
    ["stale writes accepted", findings.staleAccepted],
    ["pairs that called the lock valid at one moment", findings.bothValid.length],
    ["crashes while holding", findings.crashes.length],
    [
      `taken over after a crash, undisturbed (bound ${seconds(settings.takeOver)})`,
      after.length === 0 ? "none" : after.map(seconds).join(", ")
    ],
    ["longest time without a holder", seconds(findings.longestGap)],
    [
      `afterwards the holders had the lock again within (bound ${seconds(settings.recovery)})`,
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
    `chaos on ${report.server} ${report.version}, seed ${report.seed}, ${report.seconds} s of injections`,
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

const table = (rows: ReadonlyArray<readonly [string, string | number]>): ReadonlyArray<string> =>
  rows.map(([what, value]) => `  ${what.padEnd(58)}  ${value}`)

const list = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .map(([what, count]) => `${what} ${count}`)
    .join(", ") || "none"

const seconds = (millis: number): string => `${(millis / 1000).toFixed(1)} s`
