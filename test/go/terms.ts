/** Terms of leadership, and how long two candidates led at the same time: plain data, no clock. */
import type { Event } from "./events.ts"

/**
 * A term. `claims`: the moments at which the leader said that it leads, the first one when it began. `stopped`: when it
 * noticed that its term was over; `undefined` if it still leads or was killed.
 */
export interface Term {
  readonly leader: string
  readonly claims: ReadonlyArray<number>
  readonly stopped: number | undefined
  readonly token: bigint | undefined
}

/** The terms of a candidate, in order. */
export const termsOf = (leader: string, events: ReadonlyArray<Event>): ReadonlyArray<Term> => {
  const terms: Array<Term & { claims: Array<number>; stopped: number | undefined }> = []
  for (const event of events) {
    if (event.event === "started") {
      terms.push({
        leader,
        claims: [event.at],
        stopped: undefined,
        token: event.token === undefined ? undefined : BigInt(event.token)
      })
    }
    if (event.event === "leading") terms.at(-1)?.claims.push(event.at)
    if (event.event === "stopped" && terms.length > 0) terms.at(-1)!.stopped = event.at
  }
  return terms
}

/** When a term began. */
export const beganAt = (term: Term): number => term.claims[0]!

/** Two terms at once. `millis`: from the first to the last claim of the older leader within the newer term. */
export interface Overlap {
  readonly older: Term
  readonly newer: Term
  readonly millis: number
}

/**
 * All overlaps. A leader that is suspended claims nothing, so the time of its suspension does not count. One claim within
 * another's term is an overlap already.
 */
export const overlaps = (terms: ReadonlyArray<Term>): ReadonlyArray<Overlap> => {
  const ordered = terms.toSorted((a, b) => beganAt(a) - beganAt(b))
  return ordered.flatMap((older, index) =>
    ordered.slice(index + 1).flatMap((newer): ReadonlyArray<Overlap> => {
      const within = older.claims.filter((at) => at >= beganAt(newer) && at <= newer.claims.at(-1)!)
      return older.leader === newer.leader || within.length === 0
        ? []
        : [{ older, newer, millis: within.at(-1)! - within[0]! }]
    })
  )
}

/** The pairs of terms with tokens in which the later one does not have the greater token. */
export const unordered = (terms: ReadonlyArray<Term>): ReadonlyArray<readonly [Term, Term]> => {
  const fenced = terms.filter(({ token }) => token !== undefined).toSorted((a, b) => beganAt(a) - beganAt(b))
  return fenced.flatMap((term, index) => {
    const next = fenced[index + 1]
    return next !== undefined && next.token! <= term.token! ? [[term, next] as const] : []
  })
}
