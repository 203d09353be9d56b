/** What a process knows about a lock that it holds, and can do with it. */
import type * as Effect from "effect/Effect"
import type * as Tracer from "effect/Tracer"
import type * as LockError from "../../LockError.ts"
import type { Lease } from "../../LockRecord.ts"
import type { FieldPatch, MetadataPatch, ObjectSnapshot } from "../../ObjectStore.ts"
import type { Leaving } from "../../PermitProtocol.ts"
import type { Grant } from "../protocol/acquisitionState.ts"
import type { Outcome } from "../protocol/release.ts"
import type { Contender } from "./contender.ts"
import type { Beside } from "./renewTogether.ts"

/**
 * A lock that this process holds, for the contender that has it now.
 *
 * - `contender`: the contender in whose name it is held.
 * - `acquired`: the object as it was acquired.
 * - `issuedAt`: when the write was sent that acquired it. `tookOverFrom`: the expired holder before it.
 * - `lease`: the lease as last written.
 * - `isAwaited`: whether others were in the queue when the object was last seen.
 * - `isValid`: whether the lease is valid, as far as this process knows.
 * - `remaining`: how long this process relies on the lease, in milliseconds.
 * - `isLost`: whether it is lost. There is nothing left to release, except a lease that a renewal without an answer prolonged.
 * - `lost`: fails once the lock is lost; never succeeds.
 * - `check`: succeeds if the lease is valid, and fails if not.
 * - `confirm`: the same at the end of work that it protected, which may have committed and released.
 * - `released`: the error of a contender that has left the lock.
 * - `commitAndRelease`: writes content and annotations and releases, both or nothing.
 * - `give`: renews it a last time, for so many milliseconds if they are given, and gives it away.
 * - `release`: ends it. `requeue` is the holder ID of the waiter of this process that wants the lock again. `again` is what that one
 *   asks for, if the lock has permits, and `passed` that of `PermitProtocol.Leaving`.
 * - `permits`: how many permits the lease has, and how many of them it holds, as the object was last seen.
 * - `lower`: gives permits back, and keeps so many.
 * - `raise`: takes so many permits if nobody else is in the line. Answers whether it did.
 * - `look`: renews the lease at once, whose answer shows whether others wait.
 * - `seen`: the object as last seen.
 * - `seenAt`: when the object was last seen (milliseconds on the monotonic clock).
 * - `learn`: takes a version of the object that shows whether the lease is still on it. An older one than the last says nothing.
 * - `observe`: takes the span that is the parent of those of renewals and of the release. `observed` is that span.
 */
export interface HeldLease extends Beside {
  readonly contender: Contender
  readonly acquired: ObjectSnapshot
  readonly issuedAt: Grant["issuedAt"]
  readonly tookOverFrom: Grant["tookOverFrom"]
  readonly lease: () => Lease
  readonly isAwaited: () => boolean
  readonly isValid: () => boolean
  readonly remaining: () => number
  readonly isLost: () => boolean
  readonly lost: Effect.Effect<never, LockError.Lost>
  readonly check: Effect.Effect<void, LockError.Lost>
  readonly confirm: Effect.Effect<void, LockError.Lost>
  readonly released: () => LockError.Lost
  readonly commitAndRelease: (
    content: ReadonlyArray<FieldPatch>,
    annotations?: MetadataPatch
  ) => Effect.Effect<void, LockError.Lost | LockError.StoreError>
  readonly give: (ttl: number | undefined) => Effect.Effect<Lease, LockError.Lost>
  readonly release: (requeue: string | undefined, leaving?: Omit<Leaving, "keeps">) => Effect.Effect<Released>
  readonly permits: () => { readonly asked: number; readonly granted: number }
  readonly lower: (leaving: Omit<Leaving, "again">) => Effect.Effect<Released>
  readonly raise: (permits: number) => Effect.Effect<boolean, LockError.StoreError>
  readonly look: Effect.Effect<void>
  readonly seen: () => ObjectSnapshot
  readonly seenAt: () => number
  readonly learn: (snapshot: ObjectSnapshot) => Effect.Effect<void>
  readonly observe: (span: Tracer.Span) => void
  readonly observed: () => Tracer.Span | undefined
}

/** The lock in the hands of one contender. */
export interface Holding {
  readonly lease: HeldLease
  /** How often the lock was handed on within the process since it was acquired. */
  readonly localHandOffs: number
  /** The version of the acquiring write, and after it the number of local hand-offs. */
  readonly fencingToken: bigint
  /** How many permits the contender has, if the lock has any. */
  permits?: number
}

/**
 * How a release ended; no outcome if it failed. `mayQueue`: the waiter that wanted the lock again may be in the queue. The
 * snapshot of the outcome says whether it does.
 */
export interface Released {
  readonly outcome: Outcome | undefined
  readonly mayQueue: boolean
}
