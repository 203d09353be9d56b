/** Figures for people, as a table, and for programs, as JSON: pure. */
import * as fairness from "../../../internal/protocol/fairness.ts"
import type { Incident } from "../contest/witness.ts"
import type { Percentiles } from "../harness/histogram.ts"
import { columns, count, counted, preciseTime, significant } from "../harness/text.ts"
import type { Proof } from "../job/result.ts"
import type { Judgement } from "../threshold.ts"
import type { Figures, Subject } from "./figures.ts"

/** The JSON object, on one line: the figures, the thresholds if there are any, and other parts. Numbers have three decimals at most. */
export const json = (
  runs: ReadonlyArray<Figures>,
  thresholds: ReadonlyArray<Judgement> = [],
  others: Readonly<Record<string, unknown>> = {}
): string =>
  JSON.stringify({ runs, ...others, ...(thresholds.length === 0 ? {} : { thresholds }) }, (_, value: unknown) =>
    typeof value === "number" ? Math.round(value * 1000) / 1000 : value
  )

/**
 * A table: a row for each figure, a column for each run and, if there are two, the ratio of the first to the second and
 * whether the first is the better one. Kinds of requests that were not made are left out.
 */
export const table = (runs: ReadonlyArray<Figures>): string => {
  const [first, ...others] = columns(cellsOf(runs), 1)
  return [first, "-".repeat(Math.max(first!.length, ...others.map((line) => line.length))), ...others].join("\n")
}

/** The cells of that table. The first row is its head. */
export const cellsOf = (runs: ReadonlyArray<Figures>): ReadonlyArray<ReadonlyArray<string>> => {
  const head = ["", ...runs.map(({ protocol }) => protocol), ...(runs.length === 2 ? ["ratio"] : [])]
  const shown = rows.filter(({ isOptional, read }) => !isOptional || runs.some((run) => read(run) !== 0))
  return [head, ...shown.map((row) => cells(row, runs))]
}

/** What a kind is, for a title: nothing for a lock, which is the default. */
export const named = ({ kind, limit, writers }: Subject): string => {
  if (kind === "semaphore") return `; a semaphore of ${limit}`
  return kind === "shared" ? `; a shared lock, ${significant((writers ?? 0) * 100)} % writers` : ""
}

/** What a kind promises. */
export const rule = ({ kind, limit }: Subject): string => {
  if (kind === "semaphore") return `the limit of ${limit}`
  return kind === "shared" ? "the exclusion of writers" : "mutual exclusion"
}

/** One line: whether exclusion held. */
export const verdict = (run: Figures): string => {
  const { acquisitions, kind, mostInside, protocol, violations } = run
  if (acquisitions === 0) return `${protocol}: no acquisition: nothing was measured`
  const inside = kind === "lock" ? "" : `, at most ${mostInside} inside at once`
  const seen = `${counted(violations, "violation")} in ${counted(acquisitions, "acquisition")}${inside}`
  return `${protocol}: ${seen}: ${rule(run)} ${violations === 0 ? "held" : "was BROKEN"}`
}

/** One line: what the witness on the API server says of so many pods. */
export const across = (proof: Proof, pods: number): string => {
  const found = [
    counted(proof.overlaps, "overlap"),
    counted(Math.abs(proof.lostUpdates), "lost update"),
    counted(proof.staleReads, "stale read"),
    counted(proof.staleTokens, "stale fencing token")
  ]
  return `across ${counted(pods, "pod")}: a witness on the API server saw ${counted(proof.visits, "visit")}, at most ${proof.mostInside} inside at once; ${found.join(", ")}`
}

/** Explains figures that look wrong and are not. */
export const remarks = (runs: ReadonlyArray<Figures>): ReadonlyArray<string> => {
  const longest = fairness.budgetLength.atMost
  const isPassedOn = runs.some(
    ({ fibers, holdMillis, protocol, threads }) =>
      protocol === "kubelock" && threads > 1 && fibers > 1 && holdMillis < longest
  )
  const what = runs[0]?.kind === "semaphore" ? "its permits" : "the lock"
  return isPassedOn
    ? [
        `kubelock's wait max: a thread may hand ${what} on among its own fibers for up to ${longest / 1000} s before another has ${what === "the lock" ? "it" : "them"}`,
        "(the fairness budget in docs/protocol.md).",
        ""
      ]
    : []
}

/** When there was an overlap, and between which contenders. `began` is the start of the run on the clock of the incident. */
export const incident = ({ id, nanos, other, who }: Incident, began: number, fibers: number): string =>
  `after ${((nanos - began) / 1e9).toFixed(3)} s: ${contender(who, fibers)} was in the critical section of id ${id} together with ${contender(other, fibers)}`

const contender = (who: number, fibers: number): string =>
  who === 0 ? "nobody" : `thread ${Math.floor((who - 1) / fibers)} fiber ${(who - 1) % fibers}`

interface Row {
  readonly label: string
  readonly format: (value: number) => string
  readonly read: (run: Figures) => number | null
  /** What is better, if one can say. */
  readonly better: "more" | "less" | undefined
  readonly isOptional: boolean
}

const row = (
  label: string,
  better: Row["better"],
  format: Row["format"],
  read: Row["read"],
  isOptional = false
): Row => ({ label, format, read, better, isOptional })

const percentiles = (label: string, read: (run: Figures) => Percentiles): ReadonlyArray<Row> =>
  (["p50", "p95", "p99", "max"] as const).map((name) =>
    row(`${label} ${name}`, "less", preciseTime, (run) => read(run)[name])
  )

const rows: ReadonlyArray<Row> = [
  row("acquisitions", "more", count, (run) => run.acquisitions),
  row("duration", undefined, preciseTime, (run) => run.durationMillis),
  row(
    "throughput",
    "more",
    (value) => `${significant(value)} /s`,
    (run) => run.throughputPerSecond
  ),
  ...percentiles("wait", (run) => run.waitMillis),
  ...percentiles("hand-off", (run) => run.handoffMillis),
  ...(["get", "put", "patch", "watch", "other"] as const).map((verb) =>
    row(`requests: ${verb}`, undefined, count, (run) => run.requests[verb], true)
  ),
  row("requests per acquisition", "less", significant, (run) => run.requestsPerAcquisition),
  row("conflicts", "less", count, (run) => run.conflicts),
  row("timeouts", "less", count, (run) => run.timeouts),
  row("errors", "less", count, (run) => run.errors),
  row("fairness: Jain's index", "more", significant, (run) => run.fairness.jain),
  row("fairness: smallest share", "more", significant, (run) => run.fairness.min),
  row("fairness: largest share", "less", significant, (run) => run.fairness.max),
  row("most inside at once", undefined, count, (run) => (run.kind === "lock" ? 0 : run.mostInside), true),
  row("violations", "less", count, (run) => run.violations)
]

const cells = (row: Row, runs: ReadonlyArray<Figures>): ReadonlyArray<string> => {
  const values = runs.map(row.read)
  const [first, second] = values
  return [
    row.label,
    ...values.map((value) => (value === null ? "-" : row.format(value))),
    ...(values.length === 2 ? [first && second ? ratio(first / second, row.better) : ""] : [])
  ]
}

const ratio = (value: number, better: Row["better"]): string => {
  const shown = `x ${significant(value)}`
  if (better === undefined || shown === `x ${significant(1)}`) return shown
  return `${shown} ${value > 1 === (better === "more") ? "better" : "worse"}`
}
