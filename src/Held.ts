/** A lock that is held: what a holder has in hand, for as long as it lasts. */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type { Handle } from "./Handle.ts"
import type { Lost, StoreError } from "./LockError.ts"
import type { FieldPatch, MetadataPatch, ObjectSnapshot } from "./ObjectStore.ts"

/**
 * A lock that this process holds until the scope closes in which it was acquired.
 *
 * **Details**
 *
 * What it can do is made when it is asked for, so that thousands of locks take little memory. It can be destructured. A spread (`{ ...held }`)
 * has only `id`, `holderId`, `fencingToken` and `snapshot`.
 *
 * A lock is advisory. Work may outlive it for a moment, while another process holds it. Only the fencing token closes that gap.
 */
export interface Held {
  /** The id of the lock, as it was asked for. */
  readonly id: string
  /** The holder ID on the object. It names the process and one of its acquisitions. */
  readonly holderId: string
  /**
   * Greater than the token of every earlier acquisition of this id, by whatever process, and also if the lock was
   * handed on within this process. It grows with the resourceVersion of the acquiring write. Send it with each write,
   * and let the protected resource reject smaller ones. (A process that lost the lock and has not noticed may still
   * hand it on within itself. That token is smaller than the new holder's, so the resource rejects it.)
   */
  readonly fencingToken: bigint
  /** Whether the lease is valid, by the clocks of this process and what it knows. It makes no request. */
  readonly isValid: Effect.Effect<boolean>
  /**
   * Fails with `LockLost` when the lock is lost; never succeeds. By default that takes at most a third of the TTL.
   */
  readonly lost: Effect.Effect<never, Lost>
  /**
   * The object as it was when this process acquired the lock, with its content if the store includes it. If the lock
   * is handed on within the process, the snapshot stays the same: it does not show what the last holder of this
   * process wrote.
   */
  readonly snapshot: ObjectSnapshot
  /**
   * Writes fields and annotations of the locked object (not the lock's own) and releases the lock, both or nothing,
   * in one request whose precondition is that the lock is still ours. Fields on the way to a written one are made if
   * they are missing; all others stay as they are. A holder that was paused past its lease can never overwrite what
   * its successor wrote. It also succeeds after the lease has run out, as long as nobody took over. If somebody did,
   * it fails with `LockLost` and nothing was written. A write whose answer was lost is settled by a reading, which
   * for fields takes a store that includes content. If it cannot be settled, it fails with `LockUnavailable` and may
   * have been written. It is tried again for 30 seconds after any failure that may pass: `LockUnavailable`,
   * `LockUnauthorized`, `LockForbidden`, and `LockNotFound` of a resource or a namespace.
   */
  readonly commitAndRelease: (
    content: ReadonlyArray<FieldPatch>,
    annotations?: MetadataPatch
  ) => Effect.Effect<void, Lost | StoreError>
  /**
   * Gives the lock away, to whoever adopts it by the handle (`Lock.adopt`). From then on this process neither renews
   * nor releases it, and `isValid` is false. The lease runs on: as it stands, or with a TTL (1 second to 1 day) for
   * at least so long, for which it is written once more. A lease under a session is always written once more, since
   * it must outlast the session. Fails with `LockLost` if the lock is lost first.
   */
  readonly give: (ttl?: Duration.Input) => Effect.Effect<Handle, Lost>
  /**
   * Runs an effect. If the lock is lost, it interrupts the effect and fails with `LockLost`. It also fails if the
   * lease ran out before the effect finished, as in a process that was suspended.
   */
  readonly guard: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | Lost, R>
}

/**
 * Permits that this process has until the scope closes in which they were taken.
 *
 * It has what `Held` has, but for the commit, since others may have permits, too, and for what gives it away.
 *
 * `fencingToken` is greater than that of every contender that had these permits before, in whatever process.
 * Contenders that have permits at the same time have tokens in any order, and they may be equal. So let the protected
 * resource keep the last token of each thing that one holder writes at a time, and reject smaller ones there.
 */
export interface Permit extends Omit<Held, "commitAndRelease" | "give"> {
  /** How many there are. */
  readonly permits: number
}
