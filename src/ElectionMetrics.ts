/**
 * The metrics of elections, under the names that client-go gives them, so that existing dashboards and alerts know them. Attribute:
 * `name`, that of the Lease. Elections are few. The metrics of locks (`LockMetrics`) count elections, too.
 */
import * as Metric from "effect/Metric"

/** Whether this process leads: 1 or 0. */
export const masterStatus: Metric.Gauge<number> = Metric.gauge("leader_election_master_status", {
  description: "Whether this process is the leader: 1 is leader, 0 is not"
})

/** Writes to a Lease that found it changed by others, and had to read it first. */
export const slowPath: Metric.Counter<number> = Metric.counter("leader_election_slowpath_total", {
  description: "Writes to a Lease that had to read it first",
  incremental: true
})
