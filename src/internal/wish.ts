/** One wish for a lock, and its fulfilment: what all that deal with it agree on. */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type { LockPolicy } from "../LockPolicy.ts"
import type * as LockProtocol from "../LockProtocol.ts"
import type * as LockRecord from "../LockRecord.ts"
import type { Metadata, ObjectStore } from "../ObjectStore.ts"
import type * as stopwatch from "./stopwatch.ts"
import type { Tenure } from "./tenure.ts"

/** What a process remembers of a lock that it released. */
export interface Memory {
  readonly recall: () => Tenure | undefined
  /** The lock is free in this version of the object. */
  readonly remember: (metadata: Metadata) => Effect.Effect<void>
  /** That version is no longer the object's. */
  readonly forget: () => void
}

/** One wish for a lock. `holder` names this acquisition and no other. */
export interface Wish {
  readonly id: string
  readonly holder: string
  readonly policy: LockPolicy
  readonly store: ObjectStore["Service"]
  readonly createIfMissing: boolean
  /** Attributes for every metric, where the layer wants any. */
  readonly attributes: Readonly<Record<string, string>> | undefined
  readonly began: stopwatch.Moment
  /** The delay before the next try, by the policy's schedule; `None` at its end. */
  readonly nextDelay: (seen: unknown) => Effect.Effect<Option.Option<Duration.Duration>>
  /** The object as the caller read it just before. */
  readonly seen: Metadata | undefined
  /** What this process remembers of the lock. */
  readonly memory: Memory
  /** Whether others were met on the way. */
  contended: boolean
  /** How often it was tried. */
  attempts: number
  /** True while a write of ours may have been applied, or may still be: then the lock may be ours without our knowing. */
  mayHold: boolean
}

/** The lock as acquired: the lease, when its writing began, whose expired lease it replaced, and the object as it is. */
export interface Grant {
  readonly lease: LockRecord.Lease
  readonly started: stopwatch.Moment
  readonly broken: LockProtocol.Seen | undefined
  readonly metadata: Metadata
}
