/** The worlds with permits that are explored, and how deep `npm test` goes. */
import * as PermitRecord from "../../../src/PermitRecord.ts"
import { passes } from "../time.ts"
import * as libraries from "./library.ts"
import type { Setting } from "./search.ts"
import type { Asker, Cast } from "./world.ts"

/** A world, and how deep `npm test` goes. */
export interface ExploredLine extends Setting {
  readonly depth: number
}

/** The contenders, and what has happened already. */
export type Place = Cast & Pick<Setting, "before" | "calmTo">

/** A world with the library as it is, or with a mutation. */
export const setting = (title: string, place: Place, mutation: libraries.Mutation = {}): Setting => ({
  title,
  ...place,
  library: libraries.make(place, mutation)
})

/** Two permits. */
export const two = PermitRecord.semaphore(2)

/** One permit. */
export const one = PermitRecord.semaphore(1)

const { shared } = PermitRecord

/** Contenders that ask for so many permits each. */
export const asking = (...permits: ReadonlyArray<number>): ReadonlyArray<Asker> =>
  permits.map((permits) => ({ permits }))

/** A reader, and a writer. */
export const reader: Asker = { permits: 1 }
export const writer: Asker = { permits: shared.limit }

/** A contender begins, and its first write is answered: it holds its permits, or waits for them. */
export const comes = (name: string): ReadonlyArray<string> => [
  `${name} begins`,
  `the server works on the write of ${name}`,
  `${name} has its answer`
]

/** A holder gives its permits up. */
export const leaves = (name: string): ReadonlyArray<string> => [
  `${name} releases`,
  `the server works on the write of ${name}`,
  `${name} has its answer`
]

const explored = (title: string, depth: number, place: Place): ExploredLine => ({
  ...setting(title, { calmTo: depth - 4, ...place }),
  depth
})

/** A clock that is two seconds behind the server's, or ahead of it, as far as its process knows. */
export const behind = [-2, 0] as const
export const ahead = [0, 2] as const

/** The worlds. */
export const lines: ReadonlyArray<ExploredLine> = [
  explored("one of two permits, and both", 7, { permits: two, askers: asking(1, 2), faults: 1, withdrawals: 1 }),
  explored("three for two permits", 6, { permits: two, askers: asking(1, 1, 2), faults: 1 }),
  explored("two for one permit, and many faults", 7, {
    permits: one,
    askers: asking(1, 1),
    faults: 3,
    withdrawals: 1,
    before: comes("A")
  }),
  explored("a holder of both, and a waiter", 7, {
    permits: two,
    askers: asking(2, 1),
    faults: 2,
    before: [...comes("A"), ...comes("B")]
  }),
  explored("a holder of both that may crash, and two waiters", 6, {
    permits: two,
    askers: asking(2, 1, 1),
    crashes: 1,
    faults: 1,
    before: [...comes("A"), ...comes("B"), ...comes("C")]
  }),
  explored("a holder that has crashed, a waiter that knows the time badly, and a newcomer", 6, {
    permits: one,
    askers: [{ permits: 1 }, { permits: 1, clock: ahead }, { permits: 1, clock: behind }],
    crashes: 1,
    faults: 1,
    before: [...comes("A"), ...comes("B"), "A crashes", ...passes(2)]
  }),
  explored("a holder whose renewal is late, and a waiter that keeps its place", 7, {
    permits: one,
    askers: asking(1, 1),
    faults: 1,
    before: [
      ...comes("A"),
      ...comes("B"),
      ...passes(1),
      "A renews",
      "B goes on",
      "the server works on the write of B",
      "B has its answer",
      ...passes(1)
    ]
  }),
  explored("a waiter that keeps its place, late, and is let in", 5, {
    permits: one,
    askers: asking(1, 1),
    faults: 1,
    before: [...comes("A"), ...comes("B"), ...passes(1), "B goes on", "the write of B is late", ...leaves("A")]
  }),
  explored("a process that asks for more than it needs, and another contender", 5, {
    permits: two,
    askers: [{ permits: 1 }, { permits: 2, needs: 1 }, { permits: 1 }],
    faults: 1,
    before: [...comes("A"), ...comes("B")]
  }),
  explored("a process with two contenders, and another one", 7, {
    permits: one,
    askers: [{ permits: 1 }, { permits: 1, again: true }, { permits: 1 }],
    faults: 1,
    before: [...comes("A"), ...comes("C")]
  }),
  explored("a holder, a waiter and an operator", 7, {
    permits: one,
    askers: asking(1, 1),
    faults: 1,
    breaks: 1,
    before: [...comes("A"), ...comes("B")]
  }),
  explored("two holders, and three waiters whose turns are written down", 5, {
    permits: two,
    askers: asking(1, 1, 1, 1, 1, 1),
    calmTo: 2,
    before: [
      ...["A", "B", "C", "D", "E", "F"].flatMap(comes),
      "B renews",
      "the server works on the write of B",
      "B has its answer",
      ...leaves("B"),
      "the server works on the write of B",
      "B has its answer",
      "C sees a change",
      "A renews",
      "the server works on the write of A",
      "A has its answer"
    ]
  }),
  explored("a reader, a writer that waits, and another reader", 6, {
    permits: shared,
    askers: [reader, writer, reader],
    faults: 1,
    withdrawals: 1,
    before: [...comes("A"), ...comes("B")]
  }),
  explored("a writer, two readers that wait, and a stranger", 6, {
    permits: shared,
    askers: [writer, reader, reader],
    faults: 1,
    strangers: 1,
    before: [...comes("A"), ...comes("B")]
  })
]
