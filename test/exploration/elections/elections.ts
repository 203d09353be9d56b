/** The elections that are explored, and how deep `npm test` goes. */
import { passes } from "../time.ts"
import * as libraries from "./library.ts"
import type { Setting } from "./search.ts"
import type { Cast } from "./world.ts"

/** An election, and how deep `npm test` goes. */
export interface ExploredElection extends Setting {
  readonly depth: number
}

/** The candidates, and what has happened already. */
export type Place = Cast & Pick<Setting, "before">

/** An election with the library as it is, or with a mutation. */
export const setting = (title: string, place: Place, mutation: libraries.Mutation = {}): Setting => ({
  title,
  ...place,
  library: libraries.make(mutation)
})

/** A candidate leads. */
export const leads = (name: string): ReadonlyArray<string> => [
  `${name} sends its write`,
  `the server works on the write of ${name}`,
  `${name} has its answer`
]

/** The client-go leads. */
export const goLeads: ReadonlyArray<string> = [
  "the client-go looks",
  "the server works on the write of the client-go",
  "the client-go leads"
]

const explored = (title: string, depth: number, place: Place): ExploredElection => ({ ...setting(title, place), depth })

/** The elections. */
export const elections: ReadonlyArray<ExploredElection> = [
  explored("an election of two", 7, { candidates: 2, hasGo: false }),
  explored("an election of two and a client-go", 6, { candidates: 2, hasGo: true }),
  explored("a client-go that leads, and two candidates", 7, { candidates: 2, hasGo: true, before: goLeads }),
  explored("a client-go that was long silent, and a candidate that saw it", 7, {
    candidates: 2,
    hasGo: true,
    before: [...goLeads, "A looks", ...passes(3)]
  }),
  explored("a candidate that was long silent, and a client-go that saw it", 7, {
    candidates: 2,
    hasGo: true,
    before: [...leads("A"), "the client-go looks", ...passes(1)]
  }),
  explored("a leader with a successor, and a client-go", 6, {
    candidates: 2,
    hasGo: true,
    before: [...leads("A"), "B joins the queue"]
  }),
  explored("a client-go that took over from a candidate, and another one that waits", 9, {
    candidates: 2,
    hasGo: true,
    before: [
      ...leads("A"),
      "B joins the queue",
      "the client-go looks",
      ...passes(4),
      "the term of A has ended",
      "the client-go looks",
      "the server works on the write of the client-go",
      "the client-go leads"
    ]
  }),
  explored("a leader, a client-go, and somebody who meddles", 5, {
    candidates: 2,
    hasGo: true,
    meddlings: 1,
    before: leads("A")
  })
]
