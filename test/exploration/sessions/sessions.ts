/** The worlds of sessions that are explored, and how deep `npm test` goes. */
import { passes } from "../time.ts"
import * as libraries from "./library.ts"
import type { Setting } from "./search.ts"
import type { Bounds, Cast } from "./world.ts"

/** A world, and how deep `npm test` goes. */
export interface ExploredSessions extends Setting {
  readonly depth: number
}

/** The processes, and what has happened already. */
export type Place = Cast & Pick<Setting, "before" | "calmTo">

/** A world with the library as it is, or with a mutation. */
export const setting = (title: string, place: Place, mutation: libraries.Mutation = {}): Setting => ({
  title,
  ...place,
  library: libraries.make(place, mutation)
})

/** A process opens a session on this Lease. */
export const opens = (name: string, lease: number): ReadonlyArray<string> => [
  `${name} opens a session on lease-${lease}`,
  `the server works on the request of ${name} for its session`,
  `${name} has the answer for its session`
]

/** A process asks for a lock: it has it, or it waits for it. */
export const asks = (name: string, lock: string): ReadonlyArray<string> => [
  `${name} begins with ${lock}`,
  `the server works on the write of ${name} to ${lock}`,
  `${name} has its answer from ${lock}`
]

/** A process finds that a session has expired, and fences it. */
export const fences = (name: string, lease: number): ReadonlyArray<string> => [
  `${name} reads lease-${lease}`,
  `${name} judges the session`,
  `the server works on the fence of ${name}`,
  `${name} has the answer to its fence`
]

/** Clocks that are exact at first, then behind the server's, then ahead of it, as far as their processes know. */
export const vague: ReadonlyArray<Bounds> = [
  [0, 0],
  [-2, 0],
  [0, 2]
]

const explored = (title: string, depth: number, place: Place): ExploredSessions => ({
  ...setting(title, { calmTo: depth - 4, ...place }),
  depth
})

/** A process has a session and both locks under it. */
export const hasBoth: ReadonlyArray<string> = [...opens("A", 0), ...asks("A", "x"), ...asks("A", "y")]

/** A process waits for both locks. */
export const waitsForBoth = (name: string): ReadonlyArray<string> => [...asks(name, "x"), ...asks(name, "y")]

const both = [0, 1]

/** The worlds. */
export const sessions: ReadonlyArray<ExploredSessions> = [
  explored("a process with a session, and another one that opens its own", 5, {
    wants: [[0], [0]],
    leases: 2,
    opens: 3,
    faults: 1,
    before: opens("A", 0)
  }),
  explored("a session that is being opened, twice on one Lease", 5, {
    wants: [[0], [0]],
    leases: 1,
    opens: 3,
    faults: 1,
    before: ["A opens a session on lease-0", "B opens a session on lease-0"]
  }),
  explored("a session with two locks, a waiter for both, and an end in order", 6, {
    wants: [both, both],
    leases: 1,
    opens: 2,
    ends: 1,
    faults: 1,
    before: [...hasBoth, ...waitsForBoth("B")]
  }),
  explored("a session with two locks that has expired, and a waiter for both", 6, {
    wants: [both, both],
    leases: 1,
    opens: 2,
    faults: 1,
    before: [...hasBoth, ...waitsForBoth("B"), ...passes(3)]
  }),
  explored("a session whose renewal is late, and a waiter that fences", 6, {
    wants: [[0], [0]],
    leases: 1,
    opens: 2,
    faults: 1,
    before: [
      ...opens("A", 0),
      ...asks("A", "x"),
      ...asks("B", "x"),
      ...passes(1),
      "A renews its session",
      ...passes(2),
      "B reads lease-0",
      "B judges the session"
    ]
  }),
  explored("a lock that is being acquired when its session ends", 5, {
    wants: [both, both],
    leases: 1,
    opens: 2,
    faults: 1,
    before: [
      ...opens("A", 0),
      ...asks("A", "x"),
      "A begins with y",
      ...asks("B", "x"),
      ...passes(3),
      ...fences("B", 0),
      "B begins with y"
    ]
  }),
  explored("a lock that is handed over, and comes under a session", 7, {
    wants: [[0], [0]],
    leases: 1,
    opens: 2,
    faults: 1,
    before: [
      ...asks("A", "x"),
      ...opens("B", 0),
      ...asks("B", "x"),
      "A releases x",
      "the server works on the write of A to x",
      "A has its answer from x",
      "the server works on the write of A to x",
      "B sees a change of x",
      "B renews x",
      ...passes(1)
    ]
  }),
  explored("a lease that ends while it comes under a session", 6, {
    wants: [[0], [0]],
    leases: 1,
    opens: 1,
    faults: 2,
    before: [...asks("A", "x"), ...asks("B", "x"), ...passes(1), ...opens("A", 0), "A renews x", ...passes(1)]
  }),
  explored("a session that died, and two waiters that know the time badly", 9, {
    wants: [both, [0], both],
    leases: 1,
    opens: 1,
    crashes: 1,
    settings: 2,
    faults: 1,
    clocks: vague,
    before: [...hasBoth, ...asks("B", "x"), ...waitsForBoth("C"), "A crashes", ...passes(2)]
  }),
  explored("a Lease that another session has, and a waiter for the one before", 6, {
    wants: [[0], [0], [1]],
    leases: 1,
    opens: 2,
    crashes: 2,
    faults: 1,
    before: [...opens("A", 0), ...asks("A", "x"), ...asks("B", "x"), "A crashes", ...passes(3), ...opens("C", 0)]
  }),
  explored("a lock under a session that an operator breaks, and a waiter", 6, {
    wants: [both, [0]],
    leases: 1,
    opens: 2,
    breaks: 1,
    faults: 1,
    before: [...opens("A", 0), ...asks("A", "x"), ...asks("B", "x"), "an operator finds who has x"]
  }),
  explored("a lock that an operator breaks while it is being acquired", 7, {
    wants: [[0], [0]],
    leases: 1,
    opens: 1,
    breaks: 1,
    faults: 1,
    before: [
      ...opens("A", 0),
      "A begins with x",
      "the server works on the write of A to x",
      "an operator finds who has x",
      "the operator looks at lease-0",
      ...asks("B", "x")
    ]
  }),
  explored("a session whose Lease an operator deletes, and strangers", 6, {
    wants: [[0], [0]],
    leases: 1,
    opens: 2,
    deletions: 2,
    strangers: 1,
    faults: 1,
    before: [...opens("A", 0), ...asks("A", "x"), ...asks("B", "x")]
  })
]
