/**
 * Gets a fresh value: read, acquire the lock, read again, refresh, then write and release in one request.
 *
 * A process that does not get the lock waits for the value, not for the lock. So the losers of a race write nothing.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Cause from "effect/Cause"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import type { Held } from "../../Held.ts"
import type { AcquireError, Lock } from "../../Lock.ts"
import * as LockError from "../../LockError.ts"
import type { LockPolicy } from "../../LockPolicy.ts"
import * as LockProtocol from "../../LockProtocol.ts"
import * as LockRecord from "../../LockRecord.ts"
import type { ObjectSnapshot, ObjectStore } from "../../ObjectStore.ts"
import * as RefreshError from "../../RefreshError.ts"
import * as RefreshMetrics from "../../RefreshMetrics.ts"
import { startPatience, startPause } from "../protocol/acquisition.ts"
import { isOfStart } from "../protocol/answer.ts"
import * as waitBudget from "../engine/waitBudget.ts"
import * as ClockReading from "../time/clockReading.ts"
import * as Location from "./location.ts"
import type { Flight } from "./singleFlight.ts"
import { inSpan, quiet } from "../tracing.ts"

/** What a rotation depends on. */
export interface Deps<A, E> {
  readonly store: ObjectStore["Service"]
  readonly lock: Lock["Service"]
  readonly policy: LockPolicy
  readonly createIfMissing: boolean
  readonly path: Location.Path
  readonly location: Location.Location<A>
  readonly isFresh: (value: A) => Effect.Effect<boolean>
  readonly isSame: (a: A, b: A) => boolean
  readonly refresh: (current: Option.Option<A>, context: RefreshContext) => Effect.Effect<A, E>
}

/** The context of a refresh: the id, and the fencing token of the lock. */
export interface RefreshContext {
  readonly id: string
  readonly fencingToken: bigint
}

/** The errors of getting a value, other than those of the upstream. */
export type Failure = AcquireError | RefreshError.RefreshError

/**
 * A fresh value.
 *
 * `hadLock` says that this process held the lock for it, and so may acquire the lock again with one request.
 */
export interface Refreshed<A> {
  readonly value: A
  readonly hadLock: boolean
}

type Attempt<A> =
  | ({ readonly _tag: "Fresh" } & Refreshed<A>)
  | { readonly _tag: "Held"; readonly expiry?: string; readonly holder?: string }
  | { readonly _tag: "Unavailable"; readonly error: LockError.StoreError }

/**
 * Gets a fresh value, within the wait schedule of the policy.
 *
 * `hadLock` says that the lock can probably be acquired at once. The first attempt then skips the read before the lock.
 */
export const obtain = Effect.fnUntraced(function* <A, E>(
  deps: Deps<A, E>,
  id: string,
  flight: Flight<A>,
  hadLock: boolean
): Effect.fn.Return<Refreshed<A>, E | Failure> {
  const startedAt = yield* ClockReading.now
  const remainingMillis = waitBudget.make(deps.policy.waitSchedule, startedAt.monotonic)
  let refusedSince: number | undefined
  for (let attempts = 1; ; attempts++) {
    const outcome = yield* (hadLock && attempts === 1 ? tryUnderLock : readThenTry)(deps, id, flight)
    if (outcome._tag === "Fresh") return outcome
    const error = outcome._tag === "Unavailable" ? outcome.error : undefined
    if (error !== undefined && isOfStart(error)) {
      const { monotonic } = yield* ClockReading.now
      refusedSince ??= monotonic
      if (monotonic - refusedSince >= startPatience) return yield* error
    } else refusedSince = undefined
    const remaining = yield* remainingMillis(outcome)
    if (Option.isNone(remaining)) {
      if (outcome._tag === "Unavailable") return yield* outcome.error
      const { _tag, ...holder } = outcome
      const waited = Duration.millis(Math.round(ClockReading.elapsed(startedAt, yield* ClockReading.now).max))
      return yield* new LockError.Timeout({ id, object: deps.store.describe(id), attempts, waited, ...holder })
    }
    const retryAfter = error?._tag === "LockUnavailable" ? error.retryAfter : undefined
    const pause = refusedSince === undefined ? (retryAfter ?? Duration.zero) : Duration.millis(startPause)
    yield* Effect.sleep(Duration.max(Duration.millis(remaining.value), pause))
  }
})

// A fresh value is good, no matter where it was read. The lock is needed only if the value is stale and the lock is not held.
const readThenTry = Effect.fnUntraced(function* <A, E>(
  deps: Deps<A, E>,
  id: string,
  flight: Flight<A>
): Effect.fn.Return<Attempt<A>, E | Failure> {
  const reading = yield* Effect.result(deps.store.read(id))
  if (reading._tag === "Failure") {
    const error = reading.failure
    if (mayPass(error)) return { _tag: "Unavailable", error }
    if (error._tag !== "LockNotFound" || error.missing !== "object" || !deps.createIfMissing) return yield* error
    return yield* tryUnderLock(deps, id, flight)
  }
  const snapshot = reading.success
  const fresh = yield* accept(deps, flight, yield* storedValue(deps, id, snapshot))
  if (Option.isSome(fresh)) return { _tag: "Fresh", value: fresh.value, hadLock: false }
  const record = LockRecord.fromAnnotations(deps.policy.annotation, snapshot.annotations)
  const state = LockProtocol.lockState(record, yield* deps.store.now)
  if (state._tag !== "Held") return yield* tryUnderLock(deps, id, flight, snapshot)
  const { _tag, until: _, ...holder } = state
  return { _tag, ...holder }
})

// The upstream gives its answer only once. Nothing may interrupt the fiber between the answer and the write.
const tryUnderLock = <A, E>(
  deps: Deps<A, E>,
  id: string,
  flight: Flight<A>,
  snapshot?: ObjectSnapshot
): Effect.Effect<Attempt<A>, E | Failure> =>
  Effect.uninterruptibleMask((restore) =>
    restore(deps.lock.tryScoped(id, { createIfMissing: deps.createIfMissing, snapshot })).pipe(
      Effect.matchEffect({
        onSuccess: (held) => refreshUnderLock(deps, held, flight, restore),
        onFailure: (error): Effect.Effect<Attempt<A>, Failure> => {
          switch (error._tag) {
            case "LockConflict": {
              const { expiry, holder } = error
              return Effect.succeed({
                _tag: "Held",
                ...(expiry === undefined ? {} : { expiry }),
                ...(holder === undefined ? {} : { holder })
              })
            }
            case "LockUnavailable":
            case "LockForbidden":
            case "LockNotFound":
              return mayPass(error) ? Effect.succeed({ _tag: "Unavailable", error }) : Effect.fail(error)
            default:
              return Effect.fail(error)
          }
        }
      }),
      Effect.scoped,
      Effect.flatMap((outcome) =>
        outcome._tag === "Unwritten" ? writeAgain(deps, flight, outcome) : Effect.succeed(outcome)
      )
    )
  )

const mayPass = (error: LockError.StoreError): boolean => error._tag === "LockUnavailable" || isOfStart(error)

const refreshUnderLock = Effect.fnUntraced(function* <A, E>(
  deps: Deps<A, E>,
  held: Held,
  flight: Flight<A>,
  restore: <B, F, R>(effect: Effect.Effect<B, F, R>) => Effect.Effect<B, F, R>
): Effect.fn.Return<Attempt<A> | Unwritten<A>, E | Failure> {
  const previous = yield* storedValue(deps, held.id, held.snapshot)
  const fresh = yield* restore(accept(deps, flight, previous))
  if (Option.isSome(fresh)) return { _tag: "Fresh", value: fresh.value, hadLock: true }
  // If the lease ran out since the read, another process may have used the stored value up.
  if (!(yield* held.isValid)) return { _tag: "Held" }
  flight.onRefresh()
  const refreshed = yield* restore(callUpstream(deps, held, previous))
  flight.onAnswer()
  const written = yield* Effect.result(held.commitAndRelease(yield* deps.location.write(refreshed)))
  if (written._tag === "Failure") return { _tag: "Unwritten", held, previous, refreshed, reason: written.failure }
  yield* count("Written")
  return { _tag: "Fresh", value: refreshed, hadLock: true }
})

const callUpstream = <A, E>(deps: Deps<A, E>, held: Held, current: Option.Option<A>): Effect.Effect<A, E> =>
  Effect.flatMap(Clock.monotonicTimeNanos, (startedAt) =>
    deps.refresh(current, { id: held.id, fencingToken: held.fencingToken }).pipe(
      (refreshing) => inSpan("kubelock.refresh.upstream", {}, () => refreshing),
      Effect.onError((cause) => reportFailure(deps, held, cause)),
      Effect.ensuring(
        Effect.flatMap(Clock.monotonicTimeNanos, (now) =>
          quiet(Metric.update(RefreshMetrics.upstreamSeconds, Number(now - startedAt) / 1e9))
        )
      )
    )
  )

const reportFailure = <A, E>(deps: Deps<A, E>, held: Held, cause: Cause.Cause<E>): Effect.Effect<void> =>
  Cause.hasInterruptsOnly(cause)
    ? Effect.andThen(
        count("Interrupted"),
        log(
          held,
          "Warn",
          `The refresh of ${deps.store.describe(held.id)} was interrupted before the upstream answered. If the upstream issued a new value, that value is lost.`
        )
      )
    : count("Failed")

/** The upstream answered, and the write failed. */
interface Unwritten<A> {
  readonly _tag: "Unwritten"
  readonly held: Held
  readonly previous: Option.Option<A>
  readonly refreshed: A
  readonly reason: LockError.Lost | LockError.StoreError
}

// If the lock was lost, perhaps no other process has written. Then the value is written under a new acquisition of the
// lock.
const writeAgain = Effect.fnUntraced(function* <A, E>(
  deps: Deps<A, E>,
  flight: Flight<A>,
  { held: lost, previous, reason, refreshed }: Unwritten<A>
): Effect.fn.Return<Attempt<A>, Failure> {
  const { id } = lost
  const acquireAndWrite = Effect.gen(function* () {
    const held = yield* deps.lock.scoped(id, { createIfMissing: false })
    const stored = yield* storedValue(deps, id, held.snapshot)
    if (!Option.makeEquivalence(deps.isSame)(stored, previous)) return yield* accept(deps, flight, stored)
    yield* held.commitAndRelease(yield* deps.location.write(refreshed))
    return Option.some(refreshed)
  }).pipe(
    Effect.scoped,
    Effect.orElseSucceed(() => Option.none<A>())
  )
  const value = reason._tag === "LockLost" ? yield* acquireAndWrite : Option.none<A>()
  if (Option.isSome(value) && value.value === refreshed) {
    yield* count("Written")
    return { _tag: "Fresh", value: refreshed, hadLock: true }
  }
  const error = new RefreshError.NotWritten({ id, object: deps.store.describe(id), reason })
  yield* count("NotWritten")
  yield* log(lost, "Error", error.message)
  return Option.isSome(value) ? { _tag: "Fresh", value: value.value, hadLock: true } : yield* error
})

const storedValue = <A, E>(deps: Deps<A, E>, id: string, snapshot: ObjectSnapshot) =>
  Effect.mapError(
    deps.location.read(contentOf(snapshot)),
    () =>
      new RefreshError.Unreadable({
        id,
        object: deps.store.describe(id),
        field: Location.describe(deps.path)
      })
  )

// The stored value if it is fresh and no caller has rejected it. It is then the answer of the flight.
const accept = <A, E>(deps: Deps<A, E>, flight: Flight<A>, stored: Option.Option<A>): Effect.Effect<Option.Option<A>> =>
  Option.match(stored, {
    onNone: () => Effect.succeedNone,
    onSome: (value) =>
      Effect.map(deps.isFresh(value), (fresh) => {
        if (!fresh || flight.rejected().some((rejected) => deps.isSame(rejected, value))) return Option.none()
        flight.onAnswer()
        return Option.some(value)
      })
  })

const contentOf = ({ content }: ObjectSnapshot) => {
  if (content === undefined)
    throw new RangeError("RefreshOnce: the store does not include the content of objects; set its option content")
  return content
}

const count = (outcome: "Written" | "NotWritten" | "Failed" | "Interrupted"): Effect.Effect<void> =>
  quiet(Metric.update(Metric.withAttributes(RefreshMetrics.refreshes, { outcome }), 1))

const log = (held: Held, level: "Warn" | "Error", message: string): Effect.Effect<void> =>
  quiet(
    Effect.annotateLogs(Effect.logWithLevel(level)(message), {
      "kubelock.id": held.id,
      "kubelock.holder": held.holderId
    })
  )
