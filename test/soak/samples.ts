/** Samples of a process over time, and whether they grow: pure. */

/** One sample. `at` is in milliseconds. The memory is in bytes, after a collection; the rest are counts. */
export interface Sample {
  readonly at: number
  readonly heap: number
  readonly external: number
  readonly rss: number
  readonly sockets: number
  readonly timers: number
  readonly handles: number
  readonly files: number
  readonly fibers: number
}

/** What is sampled. */
export type Quantity = Exclude<keyof Sample, "at">

/**
 * How much each may grow over a run, beyond one twentieth of itself, and still count as noise. The memory of the process
 * (`rss`) is shown and not judged: an allocator gives back what it likes.
 */
export const noise: Readonly<Record<Quantity, number>> = {
  heap: 2 * 2 ** 20,
  external: 2 ** 20,
  rss: Number.POSITIVE_INFINITY,
  sockets: 8,
  timers: 6,
  handles: 6,
  files: 10,
  fibers: 10
}

/** The trend of a quantity: its median, how much it grew over the time that is judged, and whether that is too much. */
export interface Trend {
  readonly quantity: Quantity
  readonly median: number
  readonly growth: number
  readonly isGrowing: boolean
}

/** What is judged: everything but the first share of the time, in which code is compiled and caches fill. */
export const warmUp = 0.25

/** The trends of a run. Their slope is the median of the slopes between all pairs of samples (Theil and Sen). */
export const trends = (samples: ReadonlyArray<Sample>): ReadonlyArray<Trend> => {
  const first = samples[0]?.at ?? 0
  const last = samples.at(-1)?.at ?? 0
  const judged = samples.filter(({ at }) => at >= first + (last - first) * warmUp)
  const millis = (judged.at(-1)?.at ?? 0) - (judged[0]?.at ?? 0)
  return (Object.keys(noise) as ReadonlyArray<Quantity>).map((quantity) => {
    const middle = median(judged.map((sample) => sample[quantity]))
    const slopes = judged.flatMap((one, index) =>
      judged.slice(index + 1).map((other) => (other[quantity] - one[quantity]) / (other.at - one.at))
    )
    const growth = median(slopes) * millis
    return { quantity, median: middle, growth, isGrowing: growth > noise[quantity] + middle / 20 }
  })
}

const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted.length === 0 ? 0 : sorted[Math.floor(sorted.length / 2)]!
}

/** A line of the process that is sampled. `isLast`: everything was closed before. */
export interface Line {
  readonly isLast: boolean
  readonly sample: Sample
  readonly counts: Readonly<
    Record<"acquisitions" | "refusals" | "losses" | "services" | "violations" | "rotations" | "reuses", number>
  >
}
