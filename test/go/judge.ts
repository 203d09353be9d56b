/** What a scenario promised, and whether it was kept: plain data, no clock. */
import type { Kind } from "./candidate.ts"
import { type Overlap, overlaps, type Term, unordered } from "./terms.ts"

/** A candidate of a scenario and its terms. */
export interface Record {
  readonly name: string
  readonly kind: Kind
  readonly terms: ReadonlyArray<Term>
}

/** From the end of a leader to the beginning of the next one, in milliseconds. */
export interface HandOver {
  readonly from: Kind
  readonly to: Kind
  readonly how: "released" | "crashed"
  readonly millis: number
}

/**
 * What was seen.
 *
 * - `leadsOn`: for how long a leader of a kind may lead on when another has begun, in milliseconds.
 * - `unmet`: what was waited for in vain.
 * - `millis`: how long it all took.
 * - `notes`: what else is worth telling.
 * - `lost`: what others wrote to the Lease and what is gone.
 */
export interface Seen {
  readonly records: ReadonlyArray<Record>
  readonly leadsOn: (kind: Kind) => number
  readonly handOvers: ReadonlyArray<HandOver>
  readonly unmet: ReadonlyArray<string>
  readonly millis: number
  readonly notes: ReadonlyArray<string>
  readonly lost: ReadonlyArray<string>
}

/** The overlaps of a scenario. */
export const overlapsOf = ({ records }: Seen): ReadonlyArray<Overlap> => overlaps(records.flatMap(({ terms }) => terms))

/** What went wrong. */
export const problems = (seen: Seen): ReadonlyArray<string> => {
  const kindOf = (name: string) => seen.records.find((record) => record.name === name)!.kind
  return [
    ...seen.unmet,
    ...overlapsOf(seen).flatMap(({ millis, newer, older }) => {
      const allowed = seen.leadsOn(kindOf(older.leader))
      return millis <= allowed && allowed > 0
        ? []
        : [
            `${older.leader} led on for ${Math.ceil(millis)} ms beside ${newer.leader}; at most ${allowed} ms are allowed`
          ]
    }),
    ...unordered(seen.records.flatMap(({ terms }) => terms)).map(
      ([older, newer]) => `${newer.leader} has the token ${newer.token} after ${older.leader} had ${older.token}`
    ),
    ...seen.records.filter(({ terms }) => terms.length === 0).map(({ name }) => `${name} never led`),
    ...seen.lost.map((what) => `${what} of others is gone from the Lease`)
  ]
}
