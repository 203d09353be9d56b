/** The metrics of `RefreshOnce`, as Effect metrics. Those of its lock are in `LockMetrics`. Times are in seconds. */
import * as Metric from "effect/Metric"

/**
 * Refreshes, by their outcome (attribute `outcome`).
 *
 * - `Written`: the upstream answered, and the new value was written.
 * - `NotWritten`: the upstream answered, but the new value could not be written. See `unwritten`.
 * - `Failed`: `refresh` failed, for example because the upstream refused.
 * - `Interrupted`: no caller was left, and the grace had passed.
 */
export const refreshes: Metric.Counter<number> = Metric.counter("kubelock_refreshes_total", {
  description: "Refreshes of shared values",
  incremental: true
})

/** Values that only this process has, because they could not be written yet. If the process ends, they are lost. */
export const unwritten: Metric.Gauge<number> = Metric.gauge("kubelock_refresh_unwritten", {
  description: "Refreshed values that could not be written yet"
})

/** The time that `refresh` takes. */
export const upstreamSeconds: Metric.Histogram<number> = Metric.histogram("kubelock_refresh_upstream_seconds", {
  description: "Time that the upstream takes",
  boundaries: Metric.exponentialBoundaries({ start: 0.001, factor: 2, count: 20 })
})
