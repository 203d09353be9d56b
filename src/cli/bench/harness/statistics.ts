/** What the benchmarks compute from what they measured. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/** Sorts samples in ascending order. */
export const sorted = (samples: ReadonlyArray<number>): ReadonlyArray<number> => samples.toSorted((a, b) => a - b)

/** The smallest of sorted samples that at least this share of them does not exceed: `null` if there are none. */
export const quantile = (sorted: ReadonlyArray<number>, share: number): number | null =>
  sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? null

/** The middle value; of an even number of values, the mean of the two in the middle. `null` if there are none. */
export const median = (values: ReadonlyArray<number>): number | null => {
  const all = sorted(values)
  const middle = Math.floor(all.length / 2)
  if (all.length === 0) return null
  return all.length % 2 === 1 ? all[middle]! : (all[middle - 1]! + all[middle]!) / 2
}

/** How evenly acquisitions were shared, in equal shares: `null` if there were none. */
export interface Fairness {
  readonly jain: number | null
  readonly min: number | null
  readonly max: number | null
}

/** Jain's fairness index (1 is even, 1/n is one contender only), and the smallest and the largest share. */
export const fairness = (counts: ReadonlyArray<number>): Fairness => {
  const total = sum(counts)
  if (total === 0) return { jain: null, min: null, max: null }
  const due = total / counts.length
  return {
    jain: total ** 2 / (counts.length * sum(counts.map((count) => count ** 2))),
    min: Math.min(...counts) / due,
    max: Math.max(...counts) / due
  }
}

/** The sum. */
export const sum = (numbers: ReadonlyArray<number>): number => numbers.reduce((total, number) => total + number, 0)

/** Runs an effect, and adds to samples how long it took in milliseconds. */
export const timed = <A, E, R>(samples: Array<number>, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.map(Effect.timed(effect), ([took, result]) => {
    samples.push(Duration.toMillis(took))
    return result
  })
