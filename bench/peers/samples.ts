/** What many processes saw, put together: pure. */
import type { Report } from "../../src/cli/bench/contest/task.ts"
import * as requests from "../../src/cli/bench/harness/requests.ts"
import { fairness, quantile, sorted, sum } from "../../src/cli/bench/harness/statistics.ts"
import * as exclusion from "../../src/testing/internal/exclusion.ts"

/** The shares at which a distribution is kept for its curve: finer towards the end, which matters most. */
export const grid: ReadonlyArray<number> = [
  ...Array.from({ length: 50 }, (_, index) => index / 50),
  0.99,
  0.995,
  0.999,
  1
]

/** The samples at the shares of the grid: empty if there are none. */
export const curve = (samples: ReadonlyArray<number>): ReadonlyArray<number> => {
  const all = sorted(samples)
  return all.length === 0 ? [] : grid.map((share) => quantile(all, share)!)
}

/** How many critical sections were entered before an earlier one was left: 0 is mutual exclusion. */
export const overlaps = (reports: ReadonlyArray<Report>): number => {
  const visits = reports.flatMap(({ visits }) => visits.map(([start, end]) => ({ start, end })))
  return new Set(exclusion.check(visits).overlaps.map(({ later }) => later)).size
}

/** The times from each leaving of the critical section to the next entry, by any process. */
export const handoffs = (reports: ReadonlyArray<Report>): ReadonlyArray<number> =>
  reports
    .flatMap(({ visits }) => visits)
    .toSorted(([a], [b]) => a - b)
    .flatMap((visit, index, visits) => (index === 0 ? [] : [Math.max(0, visit[0] - visits[index - 1]![1])]))

/** All waits. A wait that the end of the round cut short counts as long as it had lasted, which is less than its length. */
export const waits = (reports: ReadonlyArray<Report>): ReadonlyArray<number> =>
  reports.flatMap(({ unfinishedWaits, waits }) => [...waits, ...unfinishedWaits])

/** The figures of one round. Times are milliseconds. */
export interface Round {
  readonly acquisitions: number
  readonly perSecond: number
  readonly requestsPerAcquisition: number | null
  readonly conflictsPerAcquisition: number | null
  readonly watchEventsPerAcquisition: number | null
  readonly cpuPerAcquisition: number | null
  /** Of the API server and its etcd. */
  readonly serverCpuPerAcquisition: number | null
  readonly waitP50: number | null
  readonly waitP99: number | null
  /** Whether waits that the end cut short reach into the last percent. The real p99 is then higher. */
  readonly isWaitP99AtLeast: boolean
  readonly handoffP50: number | null
  /** How long it took until each process had had the lock once. */
  readonly burstMillis: number | null
  readonly jain: number | null
  readonly timeouts: number
  readonly errors: number
  readonly firstError?: string | undefined
  readonly overlaps: number
}

/**
 * What a round took on the server: the events of watches that it says it sent, and its CPU. `isProgram` if other programs took the lock,
 * whose requests and CPU are not in the reports.
 */
interface OfServer {
  readonly seconds: number
  readonly isProgram?: boolean | undefined
  readonly watchEvents?: number | undefined
  readonly serverCpuMillis?: number | undefined
}

/** Computes the figures. */
export const round = (
  reports: ReadonlyArray<Report>,
  { isProgram = false, seconds, serverCpuMillis, watchEvents }: OfServer
): Round => {
  const counts = reports.map(({ visits }) => visits.length)
  const acquisitions = sum(counts)
  const each = (total: number): number | null => (acquisitions === 0 ? null : total / acquisitions)
  const ofReports = (total: number): number | null => (isProgram ? null : each(total))
  const sent = requests.sum(reports.map((report) => report.requests))
  const waited = sorted(waits(reports))
  const p99 = quantile(waited, 0.99)
  return {
    acquisitions,
    perSecond: acquisitions / seconds,
    requestsPerAcquisition: ofReports(requests.total(sent)),
    conflictsPerAcquisition: ofReports(sent.conflicts),
    watchEventsPerAcquisition: watchEvents === undefined ? null : each(watchEvents),
    cpuPerAcquisition: ofReports(sum(reports.map(({ cpuMillis }) => cpuMillis))),
    serverCpuPerAcquisition: serverCpuMillis === undefined ? null : each(serverCpuMillis),
    waitP50: quantile(waited, 0.5),
    waitP99: p99,
    isWaitP99AtLeast:
      p99 !== null && reports.some(({ unfinishedWaits }) => unfinishedWaits.some((wait) => wait >= p99)),
    handoffP50: quantile(sorted(handoffs(reports)), 0.5),
    burstMillis: counts.includes(0) ? null : Math.max(...reports.map(({ waits }) => waits[0]!)),
    jain: fairness(counts).jain,
    timeouts: sum(reports.map(({ timeouts }) => timeouts)),
    errors: sum(reports.map(({ errors }) => errors)),
    firstError: reports.find(({ firstError }) => firstError !== undefined)?.firstError,
    overlaps: overlaps(reports)
  }
}
