/** Figures for people, as a table, and for programs, as JSON: pure. */
import type { Figures } from "./figures.ts"
import type { Percentiles } from "./histogram.ts"
import type { Incident } from "./witness.ts"

/** The JSON object of `--json`, on one line. */
export const json = (runs: ReadonlyArray<Figures>): string => JSON.stringify({ runs: runs.map(rounded) })

/**
 * A table: a row for each figure, a column for each run, and, where there are two, the ratio of the first to the
 * second. Kinds of requests that nobody made are left out.
 */
export const table = (runs: ReadonlyArray<Figures>): string => {
  const lines = [head(runs), ...rows.filter(({ isShown }) => isShown?.(runs) ?? true).map((row) => line(row, runs))]
  const widths = lines[0]!.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)))
  const [first, ...others] = lines.map((line) =>
    line
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)))
      .join("  ")
      .trimEnd()
  )
  return [first, widths.map((width) => "-".repeat(width)).join("--"), ...others].join("\n")
}

/** What the runs prove, a line each: whether exclusion held. */
export const verdict = ({ acquisitions, protocol, violations }: Figures): string =>
  `${protocol}: ${count(violations)} violations in ${count(acquisitions)} acquisitions: mutual exclusion ${violations === 0 ? "held" : "was BROKEN"}`

/** When an overlap was seen and who overlapped. `began` is the start of the run on the clock of the incident. */
export const incident = ({ id, nanos, other, who }: Incident, began: number, fibers: number): string =>
  `after ${((nanos - began) / 1e9).toFixed(3)} s: ${contender(who, fibers)} was in the critical section of id ${id} together with ${contender(other, fibers)}`

/** A count for people: `12,345`. */
export const count = (value: number): string => Math.round(value).toLocaleString("en-US")

/** A time for people, three significant digits: `0.42 ms`, `1.30 s`. */
export const time = (millis: number): string =>
  millis >= 1000 ? `${significant(millis / 1000)} s` : `${significant(millis)} ms`

const significant = (value: number): string =>
  value >= 100 ? count(value) : value.toFixed(value >= 10 ? 1 : value >= 1 ? 2 : 3)

const contender = (who: number, fibers: number): string =>
  who === 0 ? "nobody" : `thread ${Math.floor((who - 1) / fibers)} fiber ${(who - 1) % fibers}`

interface Row {
  readonly label: string
  readonly read: (run: Figures) => number | null
  readonly format: (value: number) => string
  readonly isShown?: (runs: ReadonlyArray<Figures>) => boolean
}

const row = (label: string, format: Row["format"], read: Row["read"]): Row => ({ label, format, read })

const percentiles = (label: string, read: (run: Figures) => Percentiles): ReadonlyArray<Row> =>
  (["p50", "p95", "p99", "max"] as const).map((name) => row(`${label} ${name}`, time, (run) => read(run)[name]))

const requests = (verb: keyof Figures["requests"]): Row => ({
  ...row(`requests: ${verb}`, count, (run) => run.requests[verb]),
  isShown: (runs) => runs.some((run) => run.requests[verb] > 0)
})

const rows: ReadonlyArray<Row> = [
  row("acquisitions", count, (run) => run.acquisitions),
  row("duration", time, (run) => run.durationMillis),
  row(
    "throughput",
    (value) => `${significant(value)} /s`,
    (run) => run.throughputPerSecond
  ),
  ...percentiles("wait", (run) => run.waitMillis),
  ...percentiles("hand-off", (run) => run.handoffMillis),
  ...(["get", "put", "patch", "watch", "other"] as const).map(requests),
  row("requests per acquisition", significant, (run) => run.requestsPerAcquisition),
  row("conflicts", count, (run) => run.conflicts),
  row("timeouts", count, (run) => run.timeouts),
  row("errors", count, (run) => run.errors),
  row("fairness: Jain's index", significant, (run) => run.fairness.jain),
  row("fairness: smallest share", significant, (run) => run.fairness.min),
  row("fairness: largest share", significant, (run) => run.fairness.max),
  row("violations", count, (run) => run.violations)
]

const head = (runs: ReadonlyArray<Figures>): ReadonlyArray<string> => [
  "",
  ...runs.map(({ protocol }) => protocol),
  ...(runs.length === 2 ? ["ratio"] : [])
]

const line = ({ format, label, read }: Row, runs: ReadonlyArray<Figures>): ReadonlyArray<string> => {
  const values = runs.map(read)
  return [
    label,
    ...values.map((value) => (value === null ? "-" : format(value))),
    ...(values.length === 2 ? [ratio(values)] : [])
  ]
}

const ratio = ([first, second]: ReadonlyArray<number | null>): string =>
  first && second ? `x ${significant(first / second)}` : ""

const rounded = (value: unknown): unknown => {
  if (typeof value === "number") return Math.round(value * 1000) / 1000
  if (value === null || typeof value !== "object") return value
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, rounded(field)]))
}
