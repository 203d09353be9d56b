/**
 * Takes a lock from a session that lives, so that its holder knows before anybody else can have it.
 *
 * A lock under a session is not renewed by itself, so its holder would not notice for long. The process that breaks it therefore writes its
 * holder ID on the Lease of the session, and waits. The owner of the session meets that in the answer to its next renewal. It gives up
 * that hold at once, before it relies on the renewal, and only then takes the holder ID off the Lease. If it does not renew any more, the
 * session is fenced once it has expired.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { type StoreError, Unavailable } from "../../LockError.ts"
import type { LockKind } from "../../LockKind.ts"
import * as LockRecord from "../../LockRecord.ts"
import type { ObjectSnapshot, ObjectStore } from "../../ObjectStore.ts"
import * as leaseSpec from "../election/leaseSpec.ts"
import * as ClockReading from "../time/clockReading.ts"
import { fence, readLease, unlessMissing } from "./fence.ts"
import * as sessionLease from "./sessionLease.ts"

/** How often the Lease is looked at meanwhile, in milliseconds. Our choice. */
export const lookEvery = 500

/**
 * For how many times as long as the session lasts it is waited for its owner. One that renews its session lets go within one renewal
 * interval, unless it cannot run. Our choice.
 */
export const patience = 2

/** See `layerSessions.letGo`. */
export const letGo = Effect.fnUntraced(function* (
  store: ObjectStore["Service"],
  kind: LockKind,
  id: string,
  found: ObjectSnapshot
): Effect.fn.Return<ObjectSnapshot | undefined, StoreError> {
  const { holderId, session = "" } = holderOf(kind, found) ?? {}
  const reference = sessionLease.parse(session)
  if (store.sessionLeases === undefined || reference === undefined || holderId === undefined) return found
  yield* untilLetGo(store.sessionLeases.leases(reference.namespace), reference, holderId)
  const left = yield* unlessMissing(store.read(id))
  return left !== undefined && holderOf(kind, left)?.holderId === holderId ? left : undefined
})

const holderOf = (kind: LockKind, { annotations }: ObjectSnapshot) => LockRecord.leaseOf(kind.decode(annotations))

const untilLetGo = Effect.fnUntraced(function* (
  leases: ObjectStore["Service"],
  reference: sessionLease.SessionReference,
  holderId: string
): Effect.fn.Return<void, StoreError> {
  const { name } = reference
  const clock = yield* Clock.Clock
  const startedAt = ClockReading.read(clock)
  let isTold = false
  let problem: StoreError = new Unavailable({
    object: leases.describe(name),
    verb: "get",
    detail: "there is no answer"
  })
  let lasts = 0

  const step = Effect.gen(function* () {
    const found = yield* readLease(leases, name)
    const { _tag } = sessionLease.standing(reference, found, yield* leases.now)
    if (found === undefined || _tag === "Ended") return true
    if (_tag === "Expired") return (yield* fence(leases, reference))._tag === "Ended"
    lasts = (leaseSpec.fromContent(found.content).leaseDurationSeconds ?? 0) * 1000
    const isNamed = names(found, holderId)
    if (isTold && !isNamed) return true
    isTold = isNamed || (yield* tell(found))
    problem = new Unavailable({
      object: leases.describe(name),
      verb: "get",
      detail: "the process that has this session does not let go of the lock; if it never does, delete this Lease"
    })
    return false
  })

  // An answer that is lost leaves the holder ID on the Lease.
  const tell = ({ annotations, resourceVersion }: ObjectSnapshot) => {
    const broken = sessionLease.breaking({ annotations }, holderId)
    return broken === undefined
      ? Effect.succeed(false)
      : Effect.map(
          leases.compareAndSwap(name, { expect: { resourceVersion }, annotations: broken }),
          (written) => Option.isSome(written) && names(written.value, holderId)
        )
  }

  for (;;) {
    const isOver = yield* Effect.catchTag(step, "LockUnavailable", (error) => {
      problem = error
      return Effect.succeed(false)
    })
    if (isOver) return
    const waited = ClockReading.elapsed(startedAt, ClockReading.read(clock)).max
    if (waited > Math.max(patience * lasts, lookEvery)) return yield* problem
    yield* Effect.sleep(lookEvery)
  }
})

const names = (lease: Pick<ObjectSnapshot, "annotations">, holderId: string): boolean =>
  sessionLease.brokenOn(lease).includes(holderId)
