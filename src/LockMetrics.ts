/**
 * The metrics of locks, as Effect metrics. `effect/observability` exports them (OTLP, Prometheus). Times are in
 * seconds.
 *
 * Attributes have few values. All metrics but `requestSeconds` have `kind`: `lock` (also that of `RefreshOnce`), `once`, `semaphore`,
 * `shared`, `election`, or what `countedAs` of the acquisition says. Those of a shared lock also have `mode` (`shared` or
 * `exclusive`), except `breaks`. The id of a lock is an attribute only if the layer was made with `idInMetrics: true`.
 */
import * as Metric from "effect/Metric"

const counter = (name: string, description: string) => Metric.counter(name, { description, incremental: true })

const seconds = (name: string, description: string, start: number) =>
  Metric.histogram(name, { description, boundaries: Metric.exponentialBoundaries({ start, factor: 2, count: 20 }) })

/** Locks acquired. */
export const acquisitions: Metric.Counter<number> = counter("kubelock_acquisitions_total", "Locks acquired")

/** Attempts that found the lock held, or lost a race for it. */
export const conflicts: Metric.Counter<number> = counter(
  "kubelock_conflicts_total",
  "Attempts that found the lock held or lost a race"
)

/** Waits that ended without the lock, because the wait schedule ended. */
export const timeouts: Metric.Counter<number> = counter("kubelock_timeouts_total", "Waits that timed out")

/** Acquisitions that failed otherwise than by a time-out or a conflict, by the tag of the error (attribute `error`). */
export const failures: Metric.Counter<number> = counter("kubelock_failures_total", "Acquisitions that failed")

/** Locks lost while they were held, by the attribute `reason`. */
export const losses: Metric.Counter<number> = counter("kubelock_losses_total", "Locks lost while held")

/** Renewals that succeeded. */
export const renewals: Metric.Counter<number> = counter("kubelock_renewals_total", "Leases renewed")

/** Acquisitions that took an expired lock over from its holder. */
export const takeovers: Metric.Counter<number> = counter("kubelock_takeovers_total", "Expired locks taken over")

/** Locks that this process took from their holders, as an operator does: `Lock.break`, `Semaphore.break`, `SharedLock.break`. */
export const breaks: Metric.Counter<number> = counter("kubelock_breaks_total", "Locks broken by this process")

/** Locks that this process holds now. */
export const held: Metric.Gauge<number> = Metric.gauge("kubelock_held", { description: "Locks held" })

/** Permits of semaphores that this process has now. */
export const permits: Metric.Gauge<number> = Metric.gauge("kubelock_permits_held", { description: "Permits held" })

/** Locks that this process holds now, and has held for longer than their policy's `expectedHold`. */
export const overdue: Metric.Gauge<number> = Metric.gauge("kubelock_overdue", {
  description: "Locks held for longer than expected"
})

/** Contenders of this process that wait now. */
export const waiting: Metric.Gauge<number> = Metric.gauge("kubelock_waiting", { description: "Contenders waiting" })

/** The time from the call to the acquisition of a lock. */
export const waitSeconds: Metric.Histogram<number> = seconds("kubelock_wait_seconds", "Waits for a lock", 0.001)

/** The time from the acquisition of a lock to its release or loss. */
export const holdSeconds: Metric.Histogram<number> = seconds("kubelock_hold_seconds", "Time that locks are held", 0.001)

/**
 * Requests to the API server, until the response has arrived (for a watch, its head). Attributes: `verb`, and `status`,
 * which is `none` if there is no response.
 */
export const requestSeconds: Metric.Histogram<number> = seconds(
  "kubelock_request_seconds",
  "Requests to the API server",
  0.0005
)
