/** What contenders for permits saw, put together: pure. */
import type { Report } from "../../src/cli/bench/contest/task.ts"
import { quantile, sorted } from "../../src/cli/bench/harness/statistics.ts"

interface Visit {
  readonly began: number
  readonly entered: number
  readonly left: number
  readonly isWriter: boolean
}

const visitsOf = (reports: ReadonlyArray<Report>): ReadonlyArray<Visit> =>
  reports.flatMap(({ visits, waits, writes }) =>
    visits.map(([entered, left], index) => ({
      began: entered - waits[index]!,
      entered,
      left,
      isWriter: writes[index]!
    }))
  )

/** How many entered when as many as `limit` were inside, or beside a writer, or as a writer beside anybody. */
export const violations = (reports: ReadonlyArray<Report>, limit: number): number => {
  const visits = visitsOf(reports)
  const changes = [
    ...visits.map(({ entered, isWriter }) => ({ at: entered, isEntry: true, isWriter })),
    ...visits.map(({ isWriter, left }) => ({ at: left, isEntry: false, isWriter }))
  ].toSorted((a, b) => a.at - b.at || Number(a.isEntry) - Number(b.isEntry))
  let [inside, writers, found] = [0, 0, 0]
  for (const { isEntry, isWriter } of changes) {
    if (isEntry && (inside >= limit || writers > 0 || (isWriter && inside > 0))) found++
    inside += isEntry ? 1 : -1
    if (isWriter) writers += isEntry ? 1 : -1
  }
  return found
}

/**
 * The worst that a writer met: how many entered while it waited, for each contender that was there before it. First come, first served is
 * 1 at most. `null` if no writer found anybody.
 *
 * A writer counts once each process has been inside. Before that, some are still connecting, and come first without a place in the line.
 */
export const worstWriter = (reports: ReadonlyArray<Report>): number | null => {
  const visits = visitsOf(reports)
  const begins = Math.max(...reports.map(({ visits }) => Math.min(...visits.map(([entered]) => entered))))
  const ratios = visits
    .filter(({ began, isWriter }) => isWriter && began >= begins)
    .flatMap((writer) => {
      const before = visits.filter(({ began, left }) => began < writer.began && left > writer.began).length
      const passed = visits.filter(({ entered }) => entered > writer.began && entered < writer.entered).length
      return before === 0 ? [] : [passed / before]
    })
  return ratios.length === 0 ? null : Math.max(...ratios)
}

/** The median time from giving a permit back to its next use, in milliseconds, if all permits are in use all the time. */
export const handOver = (reports: ReadonlyArray<Report>, limit: number): number | null => {
  const visits = visitsOf(reports)
  const entries = sorted(visits.map(({ entered }) => entered))
  const exits = sorted(visits.map(({ left }) => left))
  return quantile(sorted(entries.slice(limit).map((entered, index) => Math.max(0, entered - exits[index]!))), 0.5)
}
