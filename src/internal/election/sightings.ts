/**
 * For how long a record has been seen unchanged: client-go's rule for the expiry of a Lease, on this machine's clock alone.
 *
 * Times in a record of client-go are those of its machine, which may be wrong by minutes. So a holder that is no kubelock counts as
 * gone only if its record was seen unchanged for as long as the record says.
 */
import * as boundedMap from "../boundedMap.ts"
import * as ClockReading from "../time/clockReading.ts"
import type { LeaseSpec } from "./leaseSpec.ts"

/** What was seen of the objects of a store. */
export interface Sightings {
  /** How much is left of the record as just seen, in milliseconds. Never more than its duration, and less than 0 once it is over. */
  readonly left: (id: string, uid: string, spec: LeaseSpec, now: ClockReading.ClockReading) => number
}

/**
 * Nothing was seen yet. `leaseDuration` is that of a record that names none, in seconds. (client-go takes such a Lease at its second
 * look.)
 */
export const make = (leaseDuration: number): Sightings => {
  const seen = boundedMap.make<string, { readonly record: string; readonly at: ClockReading.ClockReading }>(capacity)
  return {
    left: (id, uid, spec, now) => {
      const record = JSON.stringify([uid, ...Object.values(spec)])
      let first = seen.get(id)
      if (first?.record !== record) {
        first = { record, at: now }
        seen.set(id, first)
      }
      const { leaseDurationSeconds = 0 } = spec
      const duration = leaseDurationSeconds > 0 ? leaseDurationSeconds : leaseDuration
      return duration * 1000 * (1 + ClockReading.maxDrift) - ClockReading.elapsed(first.at, now).min
    }
  }
}

// A process takes part in a few elections. One that is forgotten is seen anew, and counts as just changed.
const capacity = 10_000
