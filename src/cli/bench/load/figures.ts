/** The figures of a run, computed from the records and reports of its threads: pure. */
import * as Witness from "../contest/witness.ts"
import type { Records, Report } from "../contest/task.ts"
import * as histogram from "../harness/histogram.ts"
import * as requests from "../harness/requests.ts"
import * as statistics from "../harness/statistics.ts"
import type { kinds } from "../flags.ts"

/**
 * What is contended for. `limit` is how many permits a semaphore has, and `writers` the share of acquisitions of a shared lock that exclude
 * all others. Other kinds have `null` there.
 */
export interface Subject {
  readonly kind: (typeof kinds)[number]
  readonly limit: number | null
  readonly writers: number | null
}

/** What was run. */
export interface Plan extends Subject {
  readonly protocol: "kubelock" | "dex"
  readonly target: string
  readonly threads: number
  readonly fibers: number
  readonly ids: number
  readonly holdMillis: number
}

/** What the threads report of all rounds of a protocol together. */
export type Totals = Pick<Report, "acquisitions" | "requests" | "timeouts" | "errors">

/**
 * The figures of a run: the shape of `--json`.
 *
 * - `waitMillis`: from wanting the lock to entering the critical section. `handoffMillis`: from the moment when the last
 *   holder left it (and began to release) to the next entry that excludes all others. Both are `null` if there was no such event.
 * - `mostInside`: how many were in one critical section at once.
 * - `conflicts`: writes that were refused because their condition did not hold (409, or 422 for a JSON patch).
 * - `fairness`: Jain's index over the contenders' acquisitions (1 is even, 1/n is one contender only), and the smallest
 *   and the largest share, in equal shares.
 */
export interface Figures extends Plan {
  readonly durationMillis: number
  readonly acquisitions: number
  readonly mostInside: number
  readonly violations: number
  readonly timeouts: number
  readonly errors: number
  readonly throughputPerSecond: number
  readonly waitMillis: histogram.Percentiles
  readonly handoffMillis: histogram.Percentiles
  readonly requests: Omit<requests.Requests, "conflicts">
  readonly requestsPerAcquisition: number | null
  readonly conflicts: number
  readonly fairness: statistics.Fairness
}

/** Adds the reports of a round, in the order of its threads, to the totals so far. */
export const add = (totals: Totals | undefined, reports: ReadonlyArray<Report>): Totals => {
  const acquisitions = reports.flatMap((report) => report.acquisitions)
  const all = totals === undefined ? reports : [totals, ...reports]
  return {
    acquisitions: acquisitions.map((count, index) => count + (totals?.acquisitions[index] ?? 0)),
    requests: requests.sum(all.map((one) => one.requests)),
    timeouts: statistics.sum(all.map(({ timeouts }) => timeouts)),
    errors: statistics.sum(all.map(({ errors }) => errors))
  }
}

/** Computes the figures of a run. */
export const make = (plan: Plan, durationMillis: number, totals: Totals, records: Records): Figures =>
  of(plan, durationMillis, totals, { ...records, ...Witness.verdict(records.witness) })

/** Computes the figures of a run that was judged. */
export const of = (
  plan: Plan,
  durationMillis: number,
  totals: Totals,
  records: Pick<Records, "wait" | "handoff"> & Pick<Witness.Verdict, "acquisitions" | "mostInside" | "violations">
): Figures => {
  const { acquisitions, mostInside, violations } = records
  const { conflicts, ...verbs } = totals.requests
  return {
    ...plan,
    durationMillis,
    acquisitions,
    mostInside,
    violations,
    timeouts: totals.timeouts,
    errors: totals.errors,
    throughputPerSecond: durationMillis === 0 ? 0 : (acquisitions / durationMillis) * 1000,
    waitMillis: histogram.percentiles(records.wait),
    handoffMillis: histogram.percentiles(records.handoff),
    requests: verbs,
    requestsPerAcquisition: acquisitions === 0 ? null : requests.total(totals.requests) / acquisitions,
    conflicts,
    fairness: statistics.fairness(totals.acquisitions)
  }
}
