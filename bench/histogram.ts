/**
 * A histogram of durations in memory that threads share: constant size, however long the run.
 *
 * Up to 127 microseconds are counted exactly. Above that each doubling is divided into 64 buckets, so that a
 * percentile is at most 0.8 percent off. The largest duration is kept exactly.
 */

/** Counts of durations. It may be posted to other threads: its arrays are views of shared memory. */
export interface Histogram {
  readonly buckets: Int32Array<SharedArrayBuffer>
  readonly largest: Int32Array<SharedArrayBuffer>
}

/** Percentiles in milliseconds; `null` where nothing was counted. */
export interface Percentiles {
  readonly p50: number | null
  readonly p95: number | null
  readonly p99: number | null
  readonly max: number | null
}

const exactBits = 7
const perDoubling = 64
const longest = 2 ** 31 - 1
const size = (31 - exactBits) * perDoubling + 2 * perDoubling

/** Makes an empty histogram. */
export const make = (): Histogram => ({
  buckets: new Int32Array(new SharedArrayBuffer(4 * size)),
  largest: new Int32Array(new SharedArrayBuffer(4))
})

/** Counts a duration given in nanoseconds. Durations above 35 minutes count as 35 minutes. */
export const add = (self: Histogram, nanos: bigint): void => {
  const micros = Math.min(longest, Math.max(0, Number(nanos / 1000n)))
  Atomics.add(self.buckets, bucketOf(micros), 1)
  for (;;) {
    const largest = Atomics.load(self.largest, 0)
    if (micros <= largest || Atomics.compareExchange(self.largest, 0, largest, micros) === largest) return
  }
}

/** The percentiles so far: the smallest duration that at least that share of all durations does not exceed. */
export const percentiles = (self: Histogram): Percentiles => {
  const total = self.buckets.reduce((sum, count) => sum + count, 0)
  const largest = Atomics.load(self.largest, 0)
  const at = (share: number): number | null => {
    let left = Math.ceil(total * share)
    const bucket = self.buckets.findIndex((count) => {
      left -= count
      return left <= 0
    })
    return total === 0 ? null : Math.min(largest, middleOf(bucket)) / 1000
  }
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: total === 0 ? null : largest / 1000 }
}

const doublingsAbove = (micros: number): number => Math.max(0, 32 - Math.clz32(micros) - exactBits)

const bucketOf = (micros: number): number => {
  const doublings = doublingsAbove(micros)
  return doublings * perDoubling + (micros >>> doublings)
}

const middleOf = (bucket: number): number => {
  const doublings = Math.max(0, Math.floor(bucket / perDoubling) - 1)
  return (bucket - doublings * perDoubling + (doublings === 0 ? 0 : 0.5)) * 2 ** doublings
}
