/** An acquisition of a lock: what it is, what it knows, what can happen to it, and what it can do next. */
import type * as LockError from "../../LockError.ts"
import type { LockKind } from "../../LockKind.ts"
import type * as LockProtocol from "../../LockProtocol.ts"
import type { Lease } from "../../LockRecord.ts"
import type { ConditionalPatch, ObjectSnapshot } from "../../ObjectStore.ts"
import type { ClockReading } from "../time/clockReading.ts"
import type { Answer } from "./answer.ts"

/**
 * How a layer acquires its locks, unless the options of an acquisition say otherwise.
 *
 * `describe` says which object a lock is on, for messages. `ttl` is in milliseconds. `includesContent` says that a grant must bring the
 * content of the object. `sessions` is what this process knows of sessions. `spares`: the holders to which it leaves a lock although their
 * leases have expired.
 */
export interface Settings {
  readonly describe: (id: string) => string
  readonly ttl: number
  readonly renews: boolean
  readonly sharedWithDex: boolean
  readonly createIfMissing: boolean
  readonly includesContent: boolean
  readonly sessions?: LockProtocol.KnownSessions | undefined
  readonly spares?: LockProtocol.Contender["spares"]
}

/**
 * What does not change during an acquisition. `asks` says how many permits it asks for. `startedAt` is when the caller asked for the lock.
 */
export interface Acquisition {
  readonly id: string
  readonly kind: LockKind
  readonly holderId: string
  readonly asks?: LockProtocol.Asked | undefined
  readonly startedAt: ClockReading
  readonly settings: Settings
}

/**
 * A lease that is being acquired: from when, and for how long (milliseconds), this process may rely on it. `displaced` is how many
 * waiters it took out of the queue, since it took over from an expired holder.
 */
export interface PendingGrant {
  readonly lease: Lease
  readonly issuedAt: ClockReading
  readonly validFor: number
  readonly tookOverFrom: LockProtocol.HolderInfo | undefined
  readonly displaced: number
}

/** The lock as acquired, and the object as it is. */
export interface Grant extends PendingGrant {
  readonly snapshot: ObjectSnapshot
}

/** What ends a wait. */
export type Failure = LockError.Timeout | LockError.Malformed | LockError.Mismatch | LockError.StoreError

/** A holder as far as it is known. */
export type Seen = Partial<LockProtocol.HolderInfo>

/**
 * What the acquisition is doing.
 *
 * - `Reading`: the object is being read.
 * - `AskingTime`: a waiter asks the server for its time, while it waits in this state.
 * - `Writing`: the lease is being written, or the object created. `isCached` says that the write relies on what may be outdated.
 * - `Joining`: the waiter is joining the queue. `wasQueued` says that it may have been there before.
 * - `BackingOff`: it waits for a short random time, to read the object or to join the queue then. `hasLostRace` says why.
 * - `Waiting`: for its turn, for a change of the object, or (`Nothing` to watch) for the next poll. It looks again at `until`
 *   (milliseconds on the monotonic clock): `asksTime` says that it does so for the server's time, and `hasEnded` to take the lock, since
 *   the session of its holder has ended.
 * - `Unavailable`: the server gave no usable answer, or one that it gives while it starts. It waits for the next poll.
 */
export type Phase =
  | { readonly _tag: "Reading" }
  | { readonly _tag: "AskingTime"; readonly state: LockProtocol.WaitState }
  | { readonly _tag: "Writing"; readonly grant: PendingGrant; readonly isCached: boolean; readonly wasHeld: boolean }
  | { readonly _tag: "Joining"; readonly seen: Seen; readonly wasQueued: boolean }
  | { readonly _tag: "BackingOff"; readonly seen: Seen; readonly next: "Read" | "Join"; readonly hasLostRace: boolean }
  | {
      readonly _tag: "Waiting"
      readonly state: LockProtocol.WaitState
      readonly on: "Turn" | "Object" | "Nothing"
      readonly until: number
      readonly asksTime?: boolean
      readonly hasEnded?: boolean
    }
  | { readonly _tag: "Unavailable"; readonly error: LockError.StoreError }

/**
 * What an acquisition knows. Replaced at each step, never changed.
 *
 * - `attempts`, `conflicts`: how often it tried, and how often it met others.
 * - `contended`: whether it met others at all, or another writer since the version that it knew.
 * - `requestedAt`, `latency`, `slowest`: when the last request was sent, and how long the last answer took, and the slowest one
 *   (milliseconds).
 * - `lastSeen`: the newest version of the object that it knows.
 * - `joinVersion`: the version in which it first found the object. A waiter that found an earlier version came before.
 * - `holder`: the last holder seen, and since when (milliseconds on the monotonic clock).
 * - `hasYielded`: whether it left the free lock to others.
 * - `metDex`: whether it saw a holder without a name, which is most likely a Dex.
 * - `refused`: since when the server has answered this kind of request as it does while it starts (milliseconds on the monotonic
 *   clock).
 * - `unqueueable`: why it waits without a place in the queue, or cannot keep it, if a rule of the cluster refused to write it.
 * - `followedUp`: whether a lost answer of this attempt was followed up.
 * - `inDoubt`: what it cannot rule out: that it holds the lock, that it is in the queue.
 */
export interface State {
  readonly phase: Phase
  readonly attempts: number
  readonly conflicts: number
  readonly contended: boolean
  readonly requestedAt: ClockReading
  readonly latency: number
  readonly slowest: number
  readonly lastSeen: ObjectSnapshot | undefined
  readonly joinVersion: string | undefined
  readonly holder: { readonly id: string | undefined; readonly since: number } | undefined
  readonly hasYielded: boolean
  readonly metDex: boolean
  readonly refused: { readonly request: Phase["_tag"]; readonly since: number } | undefined
  readonly unqueueable: LockError.Rejected | LockError.Forbidden | undefined
  readonly followedUp: boolean
  readonly inDoubt: { readonly held: boolean; readonly queued: boolean }
}

/**
 * What happened: the answer to a request, or the end of a wait.
 *
 * `Changed`, `Gone` and `WatchFailed` come from a watch, `SessionEnded` from that of the holder's session. `Elapsed` says that the time
 * of a wait has passed, `Exhausted` that the wait schedule has ended.
 */
export type Event =
  | Answer
  | { readonly _tag: "Changed"; readonly snapshot: ObjectSnapshot }
  | { readonly _tag: "Gone" | "WatchFailed" | "SessionEnded" | "Elapsed" | "Exhausted" }

/**
 * What to do next.
 *
 * - `Read`, `Create`, `Write`, `Join`: one request.
 * - `AskTime`: one more request for the server's time. Any answer that is due ends it, or that the next question may follow. An answer
 *   may show an outdated object.
 * - `BackOff`: wait for a random time between `atLeast` and `atMost` milliseconds.
 * - `Poll`: wait for one step of the wait schedule, and no less than `atLeast` milliseconds.
 * - `Watch`: wait for a watch event until `until` (milliseconds on the monotonic clock), or until the session has ended.
 * - `Succeed`, `Fail`: the acquisition has ended.
 *
 * `seen` is the input of the wait schedule.
 */
export type Command =
  | { readonly _tag: "Read" | "AskTime" }
  | { readonly _tag: "Create"; readonly annotations: Readonly<Record<string, string>> }
  | { readonly _tag: "Write" | "Join"; readonly write: ConditionalPatch }
  | { readonly _tag: "BackOff"; readonly atLeast: number; readonly atMost: number; readonly seen: unknown }
  | { readonly _tag: "Poll"; readonly atLeast: number; readonly seen: unknown; readonly session?: string | undefined }
  | {
      readonly _tag: "Watch"
      readonly on: "Turn" | "Object"
      readonly until: number
      readonly seen: unknown
      readonly session?: string | undefined
    }
  | { readonly _tag: "Succeed"; readonly grant: Grant }
  | { readonly _tag: "Fail"; readonly error: Failure }

/** A state and what to do in it. */
export type Step = readonly [State, Command]

/**
 * What is known at the start: the object as the caller has just read it, or a version in which the lock was free, or that the line
 * of permits was in use a moment ago (`isInUse`), so that it joins without a look, or nothing.
 * `queued` says that the waiter may already be in the queue, and `latency` how long the answer took to the write that put it there
 * (milliseconds).
 */
export interface Start {
  readonly snapshot?: ObjectSnapshot | undefined
  readonly freeVersion?: string | undefined
  readonly isInUse?: boolean | undefined
  readonly queued: boolean
  readonly latency?: number | undefined
}
