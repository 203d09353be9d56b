/** The metrics of `Once`, as Effect metrics. Those of its lock are in `LockMetrics`. Times are in seconds. */
import * as Metric from "effect/Metric"

/**
 * Runs that this process asked for, by their outcome (attribute `outcome`).
 *
 * - `Completed`: it was done here, and recorded.
 * - `Skipped`: another process had done it, or nothing was due.
 * - `Failed`: the work failed, or the lock was lost meanwhile.
 * - `NotRecorded`: the work was done, but that could not be recorded. Another process does it again.
 */
export const runs: Metric.Counter<number> = Metric.counter("kubelock_once_runs_total", {
  description: "Runs of work that is done once",
  incremental: true
})

/** The time that the work of a run takes. */
export const runSeconds: Metric.Histogram<number> = Metric.histogram("kubelock_once_run_seconds", {
  description: "Time that the work of a run takes",
  boundaries: Metric.exponentialBoundaries({ start: 0.001, factor: 4, count: 15 })
})
