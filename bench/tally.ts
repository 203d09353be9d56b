/** What the threads count while they contend, in memory that they share: the figures are read while they run. */
import * as Histogram from "./histogram.ts"

/** What is counted besides acquisitions: ends of waiting that were none, answers, and requests by verb. */
export const counters = ["timeouts", "errors", "conflicts", "get", "put", "patch", "watch", "other"] as const

/** The name of a counter. */
export type Counter = (typeof counters)[number]

/** The shared memory. It may be posted to other threads. */
export interface Tally {
  readonly counts: Int32Array<SharedArrayBuffer>
  /** Acquisitions of each contender. */
  readonly acquisitions: Int32Array<SharedArrayBuffer>
  readonly wait: Histogram.Histogram
  readonly handoff: Histogram.Histogram
}

/** Makes the memory for so many contenders. */
export const make = (contenders: number): Tally => ({
  counts: new Int32Array(new SharedArrayBuffer(4 * counters.length)),
  acquisitions: new Int32Array(new SharedArrayBuffer(4 * contenders)),
  wait: Histogram.make(),
  handoff: Histogram.make()
})

/** Begins anew, while nobody counts. */
export const reset = (self: Tally): void => {
  for (const cells of [self.counts, self.acquisitions]) cells.fill(0)
  for (const { buckets, largest } of [self.wait, self.handoff]) {
    buckets.fill(0)
    largest.fill(0)
  }
}

/** Counts one. */
export const count = (self: Tally, counter: Counter): void => {
  Atomics.add(self.counts, counters.indexOf(counter), 1)
}

/** How many were counted. */
export const counted = (self: Tally, counter: Counter): number => Atomics.load(self.counts, counters.indexOf(counter))
