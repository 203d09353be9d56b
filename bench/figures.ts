/** The figures of a run, computed from what its threads counted: pure. */
import * as Histogram from "./histogram.ts"
import * as Tally from "./tally.ts"
import * as Witness from "./witness.ts"

/** What was run. */
export interface Plan {
  readonly protocol: "kubelock" | "dex"
  readonly target: string
  readonly threads: number
  readonly fibers: number
  readonly ids: number
  readonly holdMillis: number
}

/**
 * The figures of a run: the shape of `--json`.
 *
 * - `waitMillis`: from the wish to the critical section. `handoffMillis`: from the moment in which the last holder left
 *   it (and began to release) to the next one's entry. Both are `null` where there was no such event.
 * - `conflicts`: answers to writes whose condition did not hold (409, or 422 for a JSON patch).
 * - `fairness`: Jain's index over the contenders' acquisitions (1 is perfect, 1/n is one contender only), and the
 *   smallest and the largest share, in equal shares (1 is a contender's due).
 */
export interface Figures extends Plan {
  readonly durationMillis: number
  readonly acquisitions: number
  readonly violations: number
  readonly timeouts: number
  readonly errors: number
  readonly throughputPerSecond: number
  readonly waitMillis: Histogram.Percentiles
  readonly handoffMillis: Histogram.Percentiles
  readonly requests: {
    readonly get: number
    readonly put: number
    readonly patch: number
    readonly watch: number
    readonly other: number
  }
  readonly requestsPerAcquisition: number | null
  readonly conflicts: number
  readonly fairness: Fairness
}

/** How evenly the acquisitions fell to the contenders. `null` where there were none. */
export interface Fairness {
  readonly jain: number | null
  readonly min: number | null
  readonly max: number | null
}

/** Jain's fairness index, and the smallest and largest share in equal shares. */
export const fairness = (counts: ReadonlyArray<number>): Fairness => {
  const total = sum(counts)
  if (total === 0) return { jain: null, min: null, max: null }
  const squares = sum(counts.map((count) => count * count))
  const due = total / counts.length
  return {
    jain: (total * total) / (counts.length * squares),
    min: Math.min(...counts) / due,
    max: Math.max(...counts) / due
  }
}

/** Computes the figures of a run that lasted so long. */
export const make = (
  plan: Plan,
  durationMillis: number,
  { tally, witness }: { readonly tally: Tally.Tally; readonly witness: Witness.Witness }
): Figures => {
  const { acquisitions, violations } = Witness.verdict(witness)
  const { conflicts, errors, timeouts, ...requests } = Object.fromEntries(
    Tally.counters.map((counter) => [counter, Tally.counted(tally, counter)])
  ) as Record<Tally.Counter, number>
  return {
    ...plan,
    durationMillis,
    acquisitions,
    violations,
    timeouts,
    errors,
    throughputPerSecond: durationMillis === 0 ? 0 : (acquisitions / durationMillis) * 1000,
    waitMillis: Histogram.percentiles(tally.wait),
    handoffMillis: Histogram.percentiles(tally.handoff),
    requests,
    requestsPerAcquisition: acquisitions === 0 ? null : sum(Object.values(requests)) / acquisitions,
    conflicts,
    fairness: fairness([...tally.acquisitions])
  }
}

const sum = (numbers: ReadonlyArray<number>): number => numbers.reduce((total, number) => total + number, 0)
