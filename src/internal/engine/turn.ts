/** A process's turn at a lock: what all of it that deals with a held lock agrees on. */
import type * as Effect from "effect/Effect"
import type * as Tracer from "effect/Tracer"
import type * as LockError from "../../LockError.ts"
import type { Lease } from "../../LockRecord.ts"
import type { FieldPatch, ObjectSnapshot } from "../../ObjectStore.ts"
import type { Grant, Wish } from "./wish.ts"

/** A lock that this process holds, for whichever of its contenders has it now. */
export interface Turn {
  readonly wish: Wish
  readonly grant: Grant
  /** The lease as last written. */
  readonly lease: () => Lease
  /** Whether others stood in the lock's queue when the object was last seen. */
  readonly isAwaited: () => boolean
  /** Whether the lease stands, as far as this process knows. */
  readonly isValid: () => boolean
  /** Fails once the lock is lost; never succeeds. */
  readonly lost: Effect.Effect<never, LockError.Lost>
  /** Succeeds where the lease stands, fails where it does not. */
  readonly check: Effect.Effect<void, LockError.Lost>
  /** What whoever has left the lock is told. */
  readonly released: () => LockError.Lost
  /** Writes content and releases, both or nothing. */
  readonly commit: (content: ReadonlyArray<FieldPatch>) => Effect.Effect<void, LockError.Lost | LockError.StoreError>
  /** How often the lock was passed on within the process. */
  passes: number
  /** Who of the process gets a place in the queue as the lock is handed over. */
  requeue: Wish | undefined
  /** The object as it was released, where others had arrived in the queue by then. */
  leftFree: ObjectSnapshot | undefined
  /** The span of the present hold, the parent of those of renewals and the release. */
  span: Tracer.Span | undefined
}

/** The lock in the hands of the process. */
export interface Holding {
  readonly turn: Turn
  readonly end: Effect.Effect<void>
}

/**
 * The fencing token of the present hold: the resourceVersion of the acquiring write, and after it how often the lock was
 * passed on since.
 */
export const fencingToken = ({ grant, passes }: Turn): bigint =>
  (BigInt(grant.metadata.resourceVersion) << 20n) + BigInt(passes)
