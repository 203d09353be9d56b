/** Whether acquisitions of one lock excluded each other, judged from their times and fencing tokens: pure. */

/** One acquisition, held from `start` up to but not including `end`: `Infinity` if it has not ended. */
export interface Interval {
  readonly start: number
  readonly end: number
  readonly token?: bigint | undefined
}

/** Two acquisitions. */
export interface Pair<A> {
  readonly earlier: A
  readonly later: A
}

/**
 * What was found.
 *
 * - `overlaps`: each pair of acquisitions that were held at the same time, in order of `later.start`.
 * - `disorder`: each acquisition whose token is not greater than all tokens before it, with the acquisition that had the
 *   greatest one. Acquisitions without a token are left out.
 */
export interface Findings<A> {
  readonly overlaps: ReadonlyArray<Pair<A>>
  readonly disorder: ReadonlyArray<Pair<A>>
}

/** Checks acquisitions of one lock. They may come in any order. */
export const check = <A extends Interval>(acquisitions: ReadonlyArray<A>): Findings<A> => {
  const overlaps: Array<Pair<A>> = []
  const disorder: Array<Pair<A>> = []
  let held: ReadonlyArray<A> = []
  let newest: { readonly acquisition: A; readonly token: bigint } | undefined
  for (const later of acquisitions.toSorted((a, b) => a.start - b.start)) {
    held = held.filter(({ end }) => end > later.start)
    for (const earlier of held) overlaps.push({ earlier, later })
    held = [...held, later]
    const { token } = later
    if (token === undefined) continue
    if (newest !== undefined && token <= newest.token) disorder.push({ earlier: newest.acquisition, later })
    else newest = { acquisition: later, token }
  }
  return { overlaps, disorder }
}
