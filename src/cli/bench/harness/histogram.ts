/**
 * A histogram of durations in memory that threads share: of constant size, and precise to a thousandth.
 *
 * That of `node:perf_hooks` can be shared between threads on Node.js only. Below 2048 ns each value has a cell of its
 * own. Above, each power of two has 1024 cells.
 */

/** How often each duration was recorded. It may be posted to other threads. */
export type Histogram = Uint32Array<SharedArrayBuffer>

/** Percentiles in milliseconds: `null` if nothing was recorded. */
export interface Percentiles {
  readonly p50: number | null
  readonly p95: number | null
  readonly p99: number | null
  readonly max: number | null
}

const cellsOfAPower = 1024
const powers = 42

/** Makes an empty histogram for durations of up to two months. */
export const make = (): Histogram => new Uint32Array(new SharedArrayBuffer(4 * cellsOfAPower * powers))

/** Counts a duration in nanoseconds. */
export const record = (self: Histogram, nanos: bigint): void => {
  const value = Math.max(1, Number(nanos))
  const power = Math.max(0, Math.floor(Math.log2(value / cellsOfAPower)))
  Atomics.add(self, Math.min(self.length - 1, power * cellsOfAPower + Math.floor(value / 2 ** power)), 1)
}

/** Adds what another one counted. */
export const add = (self: Histogram, other: Histogram): void => {
  for (const [cell, count] of other.entries()) self[cell]! += count
}

/** How many durations were recorded. */
export const count = (self: Histogram): number => self.reduce((sum, count) => sum + count, 0)

/** How many durations were from `from` to `to`, in milliseconds: eight ranges for each power of two. Empty ranges are left out. */
export const ranges = (
  self: Histogram
): ReadonlyArray<{ readonly from: number; readonly to: number; readonly count: number }> => {
  const size = cellsOfAPower / 8
  return Array.from({ length: self.length / size }, (_, index) => {
    const cells = self.subarray(index * size, (index + 1) * size)
    const from = index === 0 ? 1 : longestOf(index * size - 1) + 1
    return {
      from: from / 1e6,
      to: (longestOf((index + 1) * size - 1) + 1) / 1e6,
      count: cells.reduce((sum, count) => sum + count, 0)
    }
  }).filter(({ count }) => count > 0)
}

/** Forgets everything. */
export const reset = (self: Histogram): void => {
  self.fill(0)
}

/** The percentiles. */
export const percentiles = (self: Histogram): Percentiles => {
  const counts = self.slice()
  const total = counts.reduce((sum, count) => sum + count, 0)
  const at = (share: number) => {
    if (total === 0) return null
    let left = Math.max(1, Math.ceil(total * share))
    return longestOf(counts.findIndex((count) => (left -= count) <= 0)) / 1e6
  }
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) }
}

// The longest duration in a cell, in nanoseconds.
const longestOf = (cell: number): number => {
  const power = Math.max(0, Math.floor(cell / cellsOfAPower) - 1)
  return (cell - power * cellsOfAPower + 1) * 2 ** power - 1
}
