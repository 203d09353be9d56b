/**
 * A state of a small world of sessions: two objects with a lock each, the Leases of the sessions, processes that want both locks, and the
 * requests under way.
 *
 * It has states of the library's machines in it, as they are. Time is in ticks of one second. A process that is not scheduled is one that
 * is suspended, between any two of its steps. Waits are not modelled in time: what may happen after a wait may happen at any time.
 */
import type * as acquisition from "../../../src/internal/protocol/acquisitionState.ts"
import type * as holding from "../../../src/internal/protocol/holding.ts"
import type * as release from "../../../src/internal/protocol/release.ts"
import * as LockQueue from "../../../src/LockQueue.ts"
import type { ConditionalPatch, Content, ObjectSnapshot } from "../../../src/ObjectStore.ts"

/** How long a lease lasts, that of a session and that of a lock without one, in ticks. */
export const ttl = 2

/** A write to the object of a lock. */
export interface LockRequest {
  readonly to: "lock"
  readonly index: number
  readonly write: ConditionalPatch
}

/** A write to a Lease, or of a new one. */
export type LeaseRequest = { readonly to: "lease"; readonly index: number } & (
  | { readonly write: ConditionalPatch }
  | { readonly created: Content; readonly annotations: Readonly<Record<string, string>> }
)

/** A write. `index` is that of the object or of the Lease. */
export type Request = LockRequest | LeaseRequest

/** A request under way, and what the server made of it, if it has worked on it. */
export interface Sending {
  readonly sent?: Request | undefined
  readonly answer?: { readonly written: ObjectSnapshot | undefined } | undefined
}

/** An acquisition under way, of a lock or of a Lease. */
export interface Attempt {
  readonly state: acquisition.State
  readonly command: acquisition.Command
}

/**
 * The session of a process.
 *
 * - `lease`, `incarnation`: where it is, and the how many-th of its process it is.
 * - `known`: its Lease as last seen.
 * - `isRobbed`: an operator has deleted its Lease.
 * - `broken`: what operators have broken of all that it holds, as far as its owner knows.
 */
export interface Session extends Sending {
  readonly stage: "None" | "Opening" | "Open" | "Renewing" | "Ending"
  readonly lease: number
  readonly incarnation: number
  readonly known?: ObjectSnapshot | undefined
  readonly attempt?: Attempt | undefined
  readonly hold?: holding.State | undefined
  readonly renewal?: holding.Renewal | undefined
  readonly isRobbed?: true | undefined
  readonly broken?: ReadonlyArray<string> | undefined
}

/**
 * A look at the session of another process: `found` is its Lease as it was read. Once it is judged, `judgedAt` is when, and `sent` the
 * fence that came of it.
 */
export interface Look extends Sending {
  readonly session: string
  readonly found: ObjectSnapshot | undefined
  readonly judgedAt?: number | undefined
}

/** A release under way. */
export interface Giving {
  readonly state: release.State
  readonly command: release.Command
}

/**
 * A contender for a lock. `Clearing`: it is done, and looks for what a late write may have left of it under a session. `clears` is that session, and
 * how often it looks, if it looks at all.
 */
export interface Contender extends Sending {
  readonly stage: "Idle" | "Seeking" | "Holding" | "Renewing" | "Releasing" | "Clearing" | "Done"
  readonly attempt?: Attempt | undefined
  readonly hold?: holding.State | undefined
  readonly renewal?: holding.Renewal | undefined
  readonly giving?: Giving | undefined
  readonly clears?: { readonly session: string; readonly times: number } | undefined
}

/**
 * A process.
 *
 * - `clock`: which of the clocks of its cast it has.
 * - `ended`: the sessions that it knows to have ended.
 * - `limbo`: requests that it has given up on, which the server may still receive.
 */
export interface Process {
  readonly isCrashed: boolean
  readonly clock: number
  readonly session: Session
  readonly ended: ReadonlyArray<string>
  readonly look?: Look | undefined
  readonly contenders: ReadonlyArray<Contender>
  readonly limbo: ReadonlyArray<Request>
}

/** How often what is wrong may still happen. */
export interface Troubles {
  readonly faults: number
  readonly crashes: number
  readonly settings: number
  readonly deletions: number
  readonly opens: number
  readonly ends: number
  readonly strangers: number
  readonly breaks: number
}

/**
 * An operator that breaks a lock under a session. `isTold`: the owner of the session was. `hasLetGo`: the holder does not rely on the lock any
 * more. `write` is what removes the record.
 */
export interface Breaking {
  readonly lock: number
  readonly holderId: string
  readonly session: string
  readonly isTold: boolean
  readonly hasLetGo: boolean
  readonly write?: ConditionalPatch
}

/**
 * The world. `fenced`: the sessions that have ended on the server. `tokens`: the greatest fencing token of each lock so far. `made`: how
 * many Leases were made in each place.
 */
export interface World {
  readonly tick: number
  readonly objects: ReadonlyArray<ObjectSnapshot>
  readonly leases: ReadonlyArray<ObjectSnapshot | undefined>
  readonly made: ReadonlyArray<number>
  readonly processes: ReadonlyArray<Process>
  readonly fenced: ReadonlyArray<string>
  readonly tokens: ReadonlyArray<number>
  readonly left: Troubles
  readonly breaking?: Breaking | undefined
}

/** What a process knows of the server's time: bounds, in ticks from the truth. */
export type Bounds = readonly [earliest: number, latest: number]

/**
 * The processes, each with the locks that it wants, and what may go wrong: requests and answers that are lost or late, crashes, clocks
 * that are set, Leases that an operator deletes, locks that it breaks; sessions that are opened and ended; strangers that write on an object. `clocks` are those
 * that a process may have, the first of which it has first.
 */
export interface Cast extends Partial<Troubles> {
  readonly wants: ReadonlyArray<ReadonlyArray<number>>
  readonly leases: number
  readonly clocks?: ReadonlyArray<Bounds>
}

/** The clocks of a cast in which time is known. */
export const exact: ReadonlyArray<Bounds> = [[0, 0]]

/** What a stranger wrote on an object. */
export const foreign = "example.com/other"

/** The names of a process, a lock and a Lease. */
export const nameOf = (index: number): string => String.fromCharCode(65 + index)
export const lockOf = (index: number): string => "xy".charAt(index)
export const leaseOf = (index: number): string => `lease-${index}`

/** The holder ID of a process for a lock. */
export const holderId = (process: number, lock: number): string =>
  LockQueue.holderId("contender", `process0000${process}`, lock + 1)

/** The process of a holder ID. */
export const processOf = (holderId: string): number => Number(LockQueue.processIdOf(holderId).at(-1))

/** The holder ID of a session of a process. */
export const incarnationOf = (process: number, incarnation: number): string =>
  LockQueue.holderId("session", `session0000${process}`, incarnation)

/** A world in which there are no sessions, and both locks are free. */
export const begin = (cast: Cast): World => ({
  tick: 0,
  objects: [0, 1].map((lock) => ({
    uid: lockOf(lock),
    resourceVersion: "1",
    annotations: { [foreign]: "0" },
    labels: {}
  })),
  leases: Array.from({ length: cast.leases }, () => undefined),
  made: Array.from({ length: cast.leases }, () => 0),
  processes: cast.wants.map((wanted) => ({
    isCrashed: false,
    clock: 0,
    session: { stage: "None", lease: 0, incarnation: 0 },
    ended: [],
    contenders: [0, 1].map((lock) => ({ stage: wanted.includes(lock) ? "Idle" : "Done" })),
    limbo: []
  })),
  fenced: [],
  tokens: [0, 0],
  left: {
    faults: cast.faults ?? 0,
    crashes: cast.crashes ?? 0,
    settings: cast.settings ?? 0,
    deletions: cast.deletions ?? 0,
    opens: cast.opens ?? 0,
    ends: cast.ends ?? 0,
    strangers: cast.strangers ?? 0,
    breaks: cast.breaks ?? 0
  }
})

/** The world with another process in this place. */
export const withProcess = (world: World, index: number, change: Partial<Process>): World => ({
  ...world,
  processes: world.processes.with(index, { ...world.processes[index]!, ...change })
})

/** The world with another contender of this process for this lock. */
export const withContender = (world: World, index: number, lock: number, contender: Contender): World =>
  withProcess(world, index, { contenders: world.processes[index]!.contenders.with(lock, contender) })

/** The world in which one thing less may go wrong. */
export const spent = (world: World, what: keyof Troubles): World => ({
  ...world,
  left: { ...world.left, [what]: world.left[what] - 1 }
})
