/** One wish for a lock, and its fulfilment: what all that deal with it agree on. */
import type * as Effect from "effect/Effect"
import type { LockPolicy } from "../../LockPolicy.ts"
import type * as LockProtocol from "../../LockProtocol.ts"
import type * as LockRecord from "../../LockRecord.ts"
import type { ObjectSnapshot, ObjectStore } from "../../ObjectStore.ts"
import type { Timers } from "../time/timers.ts"
import type { Patience } from "./waitBudget.ts"
import type * as ClockReading from "../time/clockReading.ts"
import type { Tenure } from "../protocol/fairness.ts"
import type { Latest, WatchPool } from "./watchPool.ts"

/** What a process remembers of a lock that it released. */
export interface Memory {
  readonly recall: () => Tenure | undefined
  /** The lock is free in this version of the object. */
  readonly remember: (metadata: ObjectSnapshot) => Effect.Effect<void>
  /** That version is no longer the object's. */
  readonly forget: () => void
}

/** One wish for a lock. `holder` names this acquisition and no other. */
export interface Wish {
  readonly id: string
  readonly holder: string
  readonly policy: LockPolicy
  readonly store: ObjectStore["Service"]
  readonly watches: WatchPool
  readonly alarms: Timers
  readonly createIfMissing: boolean
  /** Whether Dex contends for the lock, too, and shall find it free now and then. */
  readonly besideDex: boolean
  /** Attributes for every metric, where the layer wants any. */
  readonly attributes: Readonly<Record<string, string>> | undefined
  readonly began: ClockReading.ClockReading
  /** How long it goes on waiting, by the policy's schedule. */
  readonly patience: Patience
  /** What this process remembers of the lock. */
  readonly memory: Memory
  /** The object as it was read just before, by the caller, or as this wish was put into the queue. */
  seen: ObjectSnapshot | undefined
  /** The version of the object in which it was first found: who found an earlier one came before. */
  found: string | undefined
  /** The version of the object that was last seen. */
  known: string | undefined
  /** What a watch had told when it was last looked at. */
  heeded: Latest | undefined
  /** Who was last seen to hold the lock, and since when (milliseconds on the monotonic clock). */
  incumbent: { readonly holder: string | undefined; readonly since: number } | undefined
  /** Whether the lock was seen free, and left so. */
  leftGap: boolean
  /** Whether others were met on the way. */
  contended: boolean
  /** How long the server took for its last answer, in milliseconds. */
  took: number
  /** How often it was tried. */
  attempts: number
  /** True while a write of ours may have been applied, or may still be: then the lock may be ours without our knowing. */
  mayHold: boolean
  /** True while it may stand in the lock's queue: then the lock may become ours at any time. */
  mayQueue: boolean
  /** True while a write is under way. */
  isWriting: boolean
}

/**
 * The lock as acquired: the lease, for how long (milliseconds) it may be relied on from when, whose expired lease it
 * replaced, and the object as it is.
 */
export interface Grant {
  readonly lease: LockRecord.Lease
  readonly started: ClockReading.ClockReading
  readonly lasts: number
  readonly broken: LockProtocol.HolderInfo | undefined
  readonly metadata: ObjectSnapshot
}
