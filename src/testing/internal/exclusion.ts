/**
 * Whether acquisitions of one lock excluded each other, judged from their times and fencing tokens: pure.
 *
 * A lock has a limit of 1. A semaphore has as many permits as its limit says. A shared lock is a semaphore with very many permits, of
 * which a writer takes all.
 */

/**
 * One acquisition, held from `start` up to but not including `end`: `Infinity` if it has not ended. `permits` is how many permits it has,
 * 1 by default.
 */
export interface Interval {
  readonly start: number
  readonly end: number
  readonly token?: bigint | undefined
  readonly permits?: number | undefined
}

/** Two acquisitions. */
export interface Pair<A> {
  readonly earlier: A
  readonly later: A
}

/**
 * What was found.
 *
 * - `overlaps`: each acquisition that had more permits than the others left, paired with each of those others, in order of
 *   `later.start`.
 * - `disorder`: each acquisition of all permits whose token is not greater than all tokens before it, and each other one whose token is
 *   not greater than those of all acquisitions of all permits before it, with the acquisition that had the greatest one.
 *   Acquisitions without a token are left out.
 */
export interface Findings<A> {
  readonly overlaps: ReadonlyArray<Pair<A>>
  readonly disorder: ReadonlyArray<Pair<A>>
}

/** How many permits these have. */
export const permitsOf = (acquisitions: ReadonlyArray<Pick<Interval, "permits">>): number =>
  acquisitions.reduce((sum, { permits = 1 }) => sum + permits, 0)

/** Checks acquisitions of one lock, with so many permits in all. They may come in any order. */
export const check = <A extends Interval>(acquisitions: ReadonlyArray<A>, limit = 1): Findings<A> => {
  const overlaps: Array<Pair<A>> = []
  const disorder: Array<Pair<A>> = []
  let held: ReadonlyArray<A> = []
  let newest: { readonly acquisition: A; readonly token: bigint } | undefined
  let newestOfAll: typeof newest
  for (const later of acquisitions.toSorted((a, b) => a.start - b.start)) {
    const others = held.filter(({ end }) => end > later.start)
    held = [...others, later]
    if (permitsOf(held) > limit) for (const earlier of others) overlaps.push({ earlier, later })
    const { permits = 1, token } = later
    if (token === undefined) continue
    const before = permits >= limit ? newest : newestOfAll
    if (before !== undefined && token <= before.token) disorder.push({ earlier: before.acquisition, later })
    else {
      const found = { acquisition: later, token }
      if (newest === undefined || token > newest.token) newest = found
      if (permits >= limit) newestOfAll = found
    }
  }
  return { overlaps, disorder }
}
