/**
 * A lock that was given away: adopted, renewed and released by the holder ID in its handle. Each is one write on condition that the lease
 * is as it was read. An adoption writes another holder ID, so of two that adopt by one handle, one finds the other's.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Handle } from "../../Handle.ts"
import * as LockError from "../../LockError.ts"
import type { LockKind } from "../../LockKind.ts"
import * as LockProtocol from "../../LockProtocol.ts"
import { expiryAfter, type Lease } from "../../LockRecord.ts"
import type { AnnotationGuardedPatch, ObjectSnapshot, ObjectStore } from "../../ObjectStore.ts"
import type { Grant } from "../protocol/acquisitionState.ts"
import type { Now } from "../protocol/answer.ts"
import type { NotOurs } from "../protocol/holding.ts"
import type { CutOff } from "../protocol/release.ts"
import type { Restore } from "./acquire.ts"
import type { Contender } from "./contender.ts"
import { startHold } from "./heldLease.ts"
import type { Holding } from "./holding.ts"
import { holdingOf } from "./localQueue.ts"
import { handOver, withdraw } from "./release.ts"
import * as requests from "./requests.ts"
import * as retries from "./retries.ts"

/** The part of a handle that says which hold it is. */
export type Which = Pick<Handle, "id" | "holderId">

/** What a handle is used on: a store, and a kind of lock. */
export interface On {
  readonly store: ObjectStore["Service"]
  readonly kind: LockKind
  readonly sharedWithDex: boolean
}

/** What using a handle can fail with. */
export type Failure = LockError.Stale | LockError.Conflict | LockError.StoreError

/**
 * Adopts a lock for a contender. If it fails, or is interrupted, and may have adopted the lock all the same, it releases it: `detach`
 * starts that. If its write has not arrived by then, the lease that it relies on is prolonged by a second, so that it cannot be applied
 * any more: then the handle is as good as before.
 *
 * The contender stands in no local queue, since another one of its process may wait for this very lock. It holds the lock under no session,
 * so that the other one does not take it for a lock that its process left behind.
 */
export const adopt = (
  given: Contender,
  holderId: string,
  detach: (effect: Effect.Effect<void>) => Effect.Effect<void>,
  restore: Restore
): Effect.Effect<Holding, Failure> =>
  Effect.suspend(() => {
    const contender = { ...given, settings: { ...given.settings, sessions: undefined } }
    const { engine, id, kind, settings } = contender
    const { sharedWithDex, ttl } = settings
    const on = { store: engine.store, kind, sharedWithDex }
    let sent: Pick<CutOff, "write" | "settledBy"> | undefined

    const once = Effect.gen(function* () {
      const seen = yield* read(on, { id, holderId })
      const own = LockProtocol.verifyLease(kind.decode(seen.annotations), contender.holderId)
      const now = yield* knownTime(on, id)
      if (own._tag === "Ours") return grantOf(own.lease, seen, now, own.expiresAt - now.server.latest)
      sent = undefined
      const { lease: over } = yield* leaseIn(on, { id, holderId }, seen)
      const lease = LockProtocol.nextLease(now.server, { holderId: contender.holderId, ttl })
      const write = { expect: { annotations: kind.encode(over) }, annotations: kind.encode(lease) }
      const later = kind.encode({ ...over, expiry: expiryAfter(over.expiry) })
      sent = { write, settledBy: { ...write, annotations: later } }
      const snapshot = yield* Effect.uninterruptible(writeLease(on, id, write, lease))
      return grantOf(lease, snapshot, now, LockProtocol.validFor(now.server, ttl))
    })
    return restore(patiently(once)).pipe(
      Effect.onError(() => (sent === undefined ? Effect.void : detach(withdraw(contender, sent)))),
      Effect.flatMap((grant) => startHold(contender, grant)),
      Effect.map((lease) => holdingOf(lease, 0))
    )
  })

const grantOf = (lease: Lease, snapshot: ObjectSnapshot, { clock }: Now, validFor: number): Grant => ({
  lease,
  issuedAt: clock,
  validFor,
  tookOverFrom: undefined,
  displaced: 0,
  snapshot
})

/** Releases an adopted lock. */
export const leave = (contender: Contender, { lease }: Holding): Effect.Effect<void> =>
  Effect.flatMap(lease.release(undefined), ({ outcome }) =>
    outcome?._tag === "Awaited" ? Effect.asVoid(handOver(contender, outcome, undefined)) : Effect.void
  )

/** Renews a lock for so many milliseconds. Its lease never gets shorter. */
export const renew = (on: On, which: Which, ttl: number): Effect.Effect<void, Failure> =>
  patiently(
    Effect.gen(function* () {
      const { kind } = on
      const { lease } = yield* leaseIn(on, which, yield* read(on, which))
      const now = yield* knownTime(on, which.id)
      const next = LockProtocol.nextLease(now.server, { holderId: which.holderId, ttl }, lease.expiry)
      const patch = { expect: { annotations: kind.encode(lease) }, annotations: kind.encode(next) }
      yield* writeLease(on, which.id, patch, next)
    })
  )

/** Releases a lock. The next one that waits gets it. */
export const release = (on: On, which: Which): Effect.Effect<void, Failure> =>
  Effect.suspend(() => {
    // One whose answer was lost may have happened.
    let isUncertain = false
    return patiently(
      Effect.gen(function* () {
        const seen = yield* read(on, which)
        const { lease } = yield* leaseIn(on, which, seen)
        const { server } = yield* knownTime(on, which.id)
        const request = { ...on, holderId: which.holderId, requeue: undefined }
        yield* Effect.tapError(
          write(on, which.id, LockProtocol.planRelease(seen, lease, server, request).write),
          ({ _tag }) => Effect.sync(() => (isUncertain ||= _tag === "LockUnavailable"))
        )
      }).pipe(Effect.catchTag("LockStale", (error) => (isUncertain ? Effect.void : Effect.fail(error))))
    )
  })

const read = ({ store }: On, { id }: Which): Effect.Effect<ObjectSnapshot, LockError.Stale | LockError.StoreError> =>
  Effect.catchTag(store.read(id), "LockNotFound", (error) =>
    Effect.fail(error.missing === "object" ? stale(store, id, { _tag: "Deleted" }) : error)
  )

const leaseIn = ({ kind, store }: On, { holderId, id }: Which, { annotations }: ObjectSnapshot) => {
  const check = LockProtocol.verifyLease(kind.decode(annotations), holderId)
  return check._tag === "Ours" ? Effect.succeed(check) : Effect.fail(stale(store, id, check))
}

const stale = (store: ObjectStore["Service"], id: string, { _tag: reason, ...seen }: NotOurs): LockError.Stale =>
  new LockError.Stale({ id, object: store.describe(id), reason, ...seen })

const knownTime = ({ store }: On, id: string): Effect.Effect<Now, LockError.StoreError> =>
  Effect.andThen(requests.knownTime(store, id), requests.now(store))

const write = ({ store }: On, id: string, patch: AnnotationGuardedPatch) =>
  Effect.flatMap(
    store.compareAndSwap(id, patch),
    Option.match({
      onNone: () => Effect.fail(new LockError.Conflict({ id, object: store.describe(id), reason: "RaceLost" })),
      onSome: Effect.succeed
    })
  )

const writeLease = (on: On, id: string, patch: AnnotationGuardedPatch, lease: Lease) =>
  Effect.filterOrFail(
    write(on, id, patch),
    ({ annotations }) => LockProtocol.isStored(on.kind.decode(annotations), lease),
    () => new LockError.Altered({ object: on.store.describe(id), verb: "patch" })
  )

// A write that is refused is planned anew: the lease was renewed, or others joined the queue.
const patiently = <A, E extends LockError.LockError>(once: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.retry(once, {
    while: ({ _tag }) => _tag === "LockUnavailable" || _tag === "LockConflict",
    schedule
  })

/** How long a handle is tried that does not succeed at once. Our choice. */
export const patience = Duration.seconds(10)

const schedule = retries.upTo(patience)
