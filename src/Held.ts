/**
 * What a holder has in hand: proof of holding, for as long as it lasts.
 */
import type * as Effect from "effect/Effect"
import type { Lost, StoreError } from "./LockError.ts"
import type { FieldPatch, ObjectSnapshot } from "./ObjectStore.ts"

/**
 * A lock that is held, until the scope that it was acquired in closes.
 *
 * **Details**
 *
 * - `holder`: the name under which the lock is held on the object: that of the process, and which of its turns it is.
 * - `fencingToken`: larger than that of any earlier acquisition of the same id, whoever acquired it, also where the lock
 *   was passed on within this process. It grows with the resourceVersion of the acquiring write, which on etcd grows
 *   with every write. Hand it to the resource that the lock protects, and let that refuse a smaller one than it has seen.
 *   (A process that was robbed of a lock, and has not noticed, may still pass it on within itself: with a token that is
 *   larger than its own last one and smaller than the robber's, so that the resource refuses it.)
 * - `isValid`: whether the lease still stands, by this process's clocks and what it knows; no request is made.
 * - `lost`: never succeeds; fails once the lock is held no longer though nobody here released it. A third of the TTL
 *   is the longest that it takes to notice, by default.
 * - `guard`: runs an effect while the lock is held: it is interrupted, and the whole fails with `Lost`, when the lock
 *   is lost. It also fails where the effect came to its end but the lease had run out meanwhile, as when the process
 *   was suspended.
 * - `metadata`: the object as it was when the lock was acquired, with its content where the store brings that along.
 * - `commit`: writes to the locked object and releases the lock, both or nothing, in one request whose condition is that
 *   the lock is still ours. So a holder that was paused past its lease can never overwrite what its successor wrote.
 *   It also succeeds after the lease has run out, as long as nobody took over; where somebody did it fails with `Lost`,
 *   and then nothing was written. A write whose answer got lost is settled by a reading, which takes a store with
 *   `content`; where it cannot be settled it fails with `Unavailable`, and may have been written.
 *
 * A lock is advisory: between the moment in which it is lost and the moment in which the work has stopped, somebody
 * else may hold it. Only the fencing token closes that gap.
 */
export interface Held {
  readonly id: string
  readonly holderId: string
  readonly fencingToken: bigint
  readonly isValid: Effect.Effect<boolean>
  readonly lost: Effect.Effect<never, Lost>
  readonly snapshot: ObjectSnapshot
  readonly commitAndRelease: (content: ReadonlyArray<FieldPatch>) => Effect.Effect<void, Lost | StoreError>
  readonly guard: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | Lost, R>
}
