/**
 * What the lock counts and times, as Effect metrics: export them with `effect/observability` (OTLP, Prometheus).
 *
 * Attributes have few values: `reason` of losses, `verb` and `status` of requests. The id of a lock is an attribute only
 * where a layer was made with `idInMetrics`. Times are in seconds.
 */
import * as Metric from "effect/Metric"

const counter = (name: string, description: string) => Metric.counter(name, { description, incremental: true })

const seconds = (name: string, description: string, start: number) =>
  Metric.histogram(name, { description, boundaries: Metric.exponentialBoundaries({ start, factor: 2, count: 20 }) })

/** Locks acquired. */
export const acquisitions: Metric.Counter<number> = counter("kubelock_acquisitions_total", "Locks acquired")

/** Attempts that found the lock held, or lost the race for it. */
export const conflicts: Metric.Counter<number> = counter("kubelock_conflicts_total", "Attempts that were refused")

/** Waits that ended with the polling schedule. */
export const timeouts: Metric.Counter<number> = counter("kubelock_timeouts_total", "Waits that timed out")

/** Locks lost while they were held; attribute `reason`. */
export const losses: Metric.Counter<number> = counter("kubelock_losses_total", "Locks lost while held")

/** Renewals that succeeded. */
export const renewals: Metric.Counter<number> = counter("kubelock_renewals_total", "Leases renewed")

/** Expired locks of others that were broken by an acquisition. */
export const takeovers: Metric.Counter<number> = counter("kubelock_takeovers_total", "Expired locks broken")

/** Locks held now. */
export const held: Metric.Gauge<number> = Metric.gauge("kubelock_held", { description: "Locks held" })

/** Contenders of this process waiting now. */
export const waiting: Metric.Gauge<number> = Metric.gauge("kubelock_waiting", { description: "Contenders waiting" })

/** From wanting a lock to having it. */
export const waitSeconds: Metric.Histogram<number> = seconds("kubelock_wait_seconds", "Waits for a lock", 0.001)

/** From having a lock to releasing or losing it. */
export const holdSeconds: Metric.Histogram<number> = seconds("kubelock_hold_seconds", "Time that locks are held", 0.001)

/**
 * Requests to the API server, until the answer is there, of a watch its head; attributes `verb` and `status` (`none` without
 * answer).
 */
export const requestSeconds: Metric.Histogram<number> = seconds(
  "kubelock_request_seconds",
  "Requests to the API server",
  0.0005
)
