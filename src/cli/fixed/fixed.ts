/** What `kubelock acquire`, `renew` and `release` do: each with one hold of a lock, by its holder ID. */
import * as Console from "effect/Console"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import type { Held } from "../../Held.ts"
import * as leaseMirror from "../../internal/election/leaseMirror.ts"
import * as requests from "../../internal/engine/requests.ts"
import * as Lock from "../../Lock.ts"
import * as LockError from "../../LockError.ts"
import * as LockKind from "../../LockKind.ts"
import * as LockProtocol from "../../LockProtocol.ts"
import type { Lease } from "../../LockRecord.ts"
import { type AnnotationGuardedPatch, type ObjectSnapshot, ObjectStore, type ServerTime } from "../../ObjectStore.ts"
import * as ObjectStoreKubernetes from "../../ObjectStoreKubernetes.ts"
import { Ended, exitCodes, misused } from "../exitCodes.ts"
import * as lockOptions from "../lockOptions.ts"
import * as target from "../target.ts"
import * as waiting from "../waiting.ts"
import type { AcquireGiven, ReleaseGiven, RenewGiven } from "./command.ts"
import * as handle from "./handle.ts"

/** Acquires a lock, and leaves it on the object. */
export const acquire = (given: AcquireGiven) =>
  Effect.gen(function* () {
    const problem = waiting.problemOf(given)
    if (problem !== undefined) return yield* misused(problem)
    const { name, nonblock, resource, ttl } = given
    const options = yield* lockOptions.make({ ttl, renewEvery: false, waitSchedule: waiting.scheduleOf(given) })
    const lock = yield* Lock.make(options)
    // The scope of a lock that is had never closes: the lock outlives this program.
    const scope = yield* Scope.make()
    const acquisition: Effect.Effect<Held, Lock.AcquireError | Lock.TryError, Scope.Scope> = nonblock
      ? lock.tryScoped(name)
      : lock.scoped(name)
    const held = yield* Scope.provide(acquisition, scope).pipe(
      Effect.onExit((exit) => (Exit.isFailure(exit) ? Scope.close(scope, exit) : Effect.void))
    )
    const namespace = yield* target.namespace
    yield* Console.log(handle.format({ namespace, resource, name, holderId: held.holderId }))
  }).pipe(
    Effect.scoped,
    Effect.catchTags(waiting.endings(given)),
    Effect.provide(target.store(given.resource)),
    Effect.provide(target.client)
  )

/** Renews a hold. */
export const renew = ({ handle, ttl }: RenewGiven) =>
  withHold(handle, (hold) => {
    const lease = LockProtocol.nextLease(
      hold.now,
      { holderId: handle.holderId, ttl: Duration.toMillis(ttl) },
      hold.lease.expiry
    )
    return {
      expect: { annotations: hold.kind.encode(hold.lease) },
      annotations: hold.kind.encode(lease)
    }
  })

/** Releases a hold. */
export const release = ({ handle }: ReleaseGiven) =>
  withHold(
    handle,
    ({ kind, lease, now, seen, sharedWithDex }) =>
      LockProtocol.planRelease(seen, lease, now, { kind, holderId: handle.holderId, requeue: undefined, sharedWithDex })
        .write
  )

/** A hold as it stands on the object. */
interface Hold {
  readonly kind: LockKind.LockKind
  readonly seen: ObjectSnapshot
  readonly lease: Lease
  readonly now: ServerTime
  readonly sharedWithDex: boolean
}

// A write that is refused is planned anew: others joined the queue. One whose answer was lost may have happened.
const withHold = (which: handle.Handle, plan: (hold: Hold) => AnnotationGuardedPatch) =>
  Effect.gen(function* () {
    const { holderId, name, resource } = which
    const given = yield* ObjectStore
    const { policy } = yield* lockOptions.make({})
    const kind = LockKind.exclusive(policy?.annotation ?? resource.annotation)
    const store = given.holdsLeases ? leaseMirror.make(given, kind) : given
    let isUncertain = false

    const once = Effect.gen(function* () {
      const seen = yield* store.read(name)
      const check = LockProtocol.verifyLease(kind.decode(seen.annotations), holderId)
      if (check._tag !== "Ours") return isUncertain ? undefined : yield* lost(name, check)
      const now = yield* requests.knownTime(store, name)
      const { sharedWithDex } = given
      const answer = yield* Effect.tapError(
        store.compareAndSwap(name, plan({ kind, seen, lease: check.lease, now, sharedWithDex })),
        (error) => Effect.sync(() => (isUncertain ||= error._tag === "LockUnavailable"))
      )
      if (Option.isNone(answer)) {
        return yield* new LockError.Conflict({ id: name, object: store.describe(name), reason: "RaceLost" })
      }
    })
    yield* Effect.retry(once, { while: isPassing, schedule: retries })
  }).pipe(
    Effect.provide(ObjectStoreKubernetes.layer({ resource: which.resource, namespace: which.namespace })),
    Effect.provide(target.client)
  )

const isPassing = ({ _tag }: { readonly _tag: string }): boolean =>
  _tag === "LockUnavailable" || _tag === "LockConflict"

/** For how long a hold is renewed or released that does not succeed at once. Our choice. */
const retries = Schedule.spaced("200 millis").pipe(Schedule.upTo({ duration: "10 seconds" }))

const lost = (name: string, check: LockProtocol.LeaseCheck) =>
  new Ended({
    code: exitCodes.lost,
    message:
      check._tag === "TakenOver"
        ? `${name} was lost: ${check.holder ?? "a holder without a name, probably Dex,"} holds it until ${check.expiry}.`
        : `${name} was lost: nobody holds it by now.`
  })
