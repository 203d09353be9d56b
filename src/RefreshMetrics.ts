/** What refreshing counts and times, as Effect metrics, beside those of its lock (`LockMetrics`). Times are in seconds. */
import * as Metric from "effect/Metric"

/**
 * Refreshes that were begun, by how they ended; attribute `outcome`.
 *
 * - `Written`: the upstream answered, and its answer is stored.
 * - `NotWritten`: it answered, and its answer could not be stored.
 * - `Failed`: it refused, or `refresh` failed otherwise.
 * - `Interrupted`: nobody waited any longer, and the grace had passed.
 */
export const refreshes: Metric.Counter<number> = Metric.counter("kubelock_refreshes_total", {
  description: "Refreshes of shared values",
  incremental: true
})

/** The upstream's part of a refresh. */
export const upstreamSeconds: Metric.Histogram<number> = Metric.histogram("kubelock_refresh_upstream_seconds", {
  description: "Time that refreshing takes upstream",
  boundaries: Metric.exponentialBoundaries({ start: 0.001, factor: 2, count: 20 })
})
