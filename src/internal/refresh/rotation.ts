/** From wanting a fresh value to having it: look, take the lock, look again, refresh, write and release. */
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
import * as patience from "../engine/waitBudget.ts"
import type { Flight } from "./singleFlight.ts"
import * as refreshValue from "./location.ts"
import * as ClockReading from "../time/clockReading.ts"

/** What a rotation works with. */
export interface Deps<A, E> {
  readonly store: ObjectStore["Service"]
  readonly lock: Lock["Service"]
  readonly policy: LockPolicy
  readonly createIfMissing: boolean
  readonly path: refreshValue.Path
  readonly value: refreshValue.Location<A>
  readonly isFresh: (value: A) => Effect.Effect<boolean>
  readonly isSame: (a: A, b: A) => boolean
  readonly refresh: (current: Option.Option<A>, context: RefreshContext) => Effect.Effect<A, E>
}

/** Under what a refresh runs. */
export interface RefreshContext {
  readonly id: string
  readonly fencingToken: bigint
}

/** What getting a value can fail with, beside the upstream's error. */
export type Failure = AcquireError | RefreshError.RefreshError

/** A value, and whether this process had the lock last: then it can take it again with one request. */
export interface Refreshed<A> {
  readonly value: A
  readonly hadLock: boolean
}

type Attempt<A> =
  | ({ readonly _tag: "Obtained" } & Refreshed<A>)
  | { readonly _tag: "Held"; readonly expiry?: string; readonly holder?: string }
  | { readonly _tag: "Unavailable"; readonly error: LockError.Unavailable }

/**
 * Obtains a fresh value. Who does not get the lock waits for the value and not for the lock, so that the losers of a
 * race write nothing. `hadLock` says that the lock is likely to be had at once: then it is tried without a look before.
 */
export const obtain = Effect.fnUntraced(function* <A, E>(
  parts: Deps<A, E>,
  id: string,
  flight: Flight<A>,
  hadLock: boolean
): Effect.fn.Return<Refreshed<A>, E | Failure> {
  const began = yield* ClockReading.now
  const patienceLeft = patience.make(parts.policy.waitSchedule)
  for (let attempts = 1; ; attempts++) {
    const outcome = yield* (hadLock && attempts === 1 ? tryUnderLock : lookAndTry)(parts, id, flight)
    if (outcome._tag === "Obtained") return outcome
    const left = yield* patienceLeft(outcome)
    if (Option.isNone(left)) {
      if (outcome._tag === "Unavailable") return yield* outcome.error
      const { _tag, ...seen } = outcome
      const waited = Duration.millis(Math.round(ClockReading.elapsed(began, yield* ClockReading.now).most))
      return yield* new LockError.Timeout({ id, object: parts.store.describe(id), attempts, waited, ...seen })
    }
    const retryAfter = outcome._tag === "Unavailable" ? outcome.error.retryAfter : undefined
    yield* Effect.sleep(Duration.max(Duration.millis(left.value), retryAfter ?? Duration.zero))
  }
})

// A value that is fresh serves wherever it was read. Only who finds it stale, and the lock free, needs the lock.
const lookAndTry = Effect.fnUntraced(function* <A, E>(
  parts: Deps<A, E>,
  id: string,
  flight: Flight<A>
): Effect.fn.Return<Attempt<A>, E | Failure> {
  const found = yield* Effect.result(parts.store.read(id))
  if (found._tag === "Failure") {
    const error = found.failure
    if (error._tag === "LockUnavailable") return { _tag: "Unavailable", error }
    if (error._tag !== "LockNotFound" || error.missing !== "object" || !parts.createIfMissing) return yield* error
    return yield* tryUnderLock(parts, id, flight)
  }
  const fresh = yield* usable(parts, flight, yield* valueOf(parts, id, found.success))
  if (Option.isSome(fresh)) return { _tag: "Obtained", value: fresh.value, hadLock: false }
  const record = LockRecord.fromAnnotations(parts.policy.annotation, found.success.annotations)
  const state = LockProtocol.lockState(record, yield* parts.store.now)
  if (state._tag !== "Held") return yield* tryUnderLock(parts, id, flight, found.success)
  const { _tag, until: _, ...seen } = state
  return { _tag, ...seen }
})

// From the upstream's answer on nothing may come between, until it is written: it cannot be had a second time.
const tryUnderLock = <A, E>(
  parts: Deps<A, E>,
  id: string,
  flight: Flight<A>,
  seen?: ObjectSnapshot
): Effect.Effect<Attempt<A>, E | Failure> =>
  Effect.uninterruptibleMask((restore) =>
    restore(parts.lock.tryScoped(id, { createIfMissing: parts.createIfMissing, snapshot: seen })).pipe(
      Effect.matchEffect({
        onSuccess: (held) => underLock(parts, held, flight, restore),
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
              return Effect.succeed({ _tag: "Unavailable", error })
            default:
              return Effect.fail(error)
          }
        }
      }),
      Effect.scoped,
      Effect.flatMap((outcome) =>
        outcome._tag === "Unwritten" ? rescue(parts, flight, outcome) : Effect.succeed(outcome)
      )
    )
  )

const underLock = Effect.fnUntraced(function* <A, E>(
  parts: Deps<A, E>,
  held: Held,
  flight: Flight<A>,
  restore: <B, F, R>(effect: Effect.Effect<B, F, R>) => Effect.Effect<B, F, R>
): Effect.fn.Return<Attempt<A> | Unwritten<A>, E | Failure> {
  const before = yield* valueOf(parts, held.id, held.snapshot)
  const fresh = yield* restore(usable(parts, flight, before))
  if (Option.isSome(fresh)) return { _tag: "Obtained", value: fresh.value, hadLock: true }
  // After a pause somebody else may have spent what was read.
  if (!(yield* held.isValid)) return { _tag: "Held" }
  flight.stage = "Refreshing"
  const answer = yield* restore(ask(parts, held, before))
  flight.stage = "Answered"
  const written = yield* Effect.result(
    held.commitAndRelease(yield* parts.value.write(contentOf(held.snapshot), answer))
  )
  if (written._tag === "Failure") return { _tag: "Unwritten", held, before, answer, reason: written.failure }
  yield* count("Written")
  return { _tag: "Obtained", value: answer, hadLock: true }
})

const ask = <A, E>(parts: Deps<A, E>, held: Held, current: Option.Option<A>): Effect.Effect<A, E> =>
  Effect.flatMap(Clock.monotonicTimeNanos, (asked) =>
    parts.refresh(current, { id: held.id, fencingToken: held.fencingToken }).pipe(
      (asking) => Effect.withSpan(asking, "kubelock.refresh.upstream", { captureStackTrace: false }),
      Effect.onError((cause) => unanswered(parts, held, cause)),
      Effect.ensuring(
        Effect.flatMap(Clock.monotonicTimeNanos, (now) =>
          Metric.update(RefreshMetrics.upstreamSeconds, Number(now - asked) / 1e9)
        )
      )
    )
  )

const unanswered = <A, E>(parts: Deps<A, E>, held: Held, cause: Cause.Cause<E>): Effect.Effect<void> =>
  Cause.hasInterruptsOnly(cause)
    ? Effect.andThen(
        count("Interrupted"),
        tell(
          held,
          "Warn",
          `A refresh of ${parts.store.describe(held.id)} was interrupted while the upstream was at work. If the upstream handed out a new value, it is gone.`
        )
      )
    : count("Failed")

interface Unwritten<A> {
  readonly _tag: "Unwritten"
  readonly held: Held
  readonly before: Option.Option<A>
  readonly answer: A
  readonly reason: LockError.Lost | LockError.StoreError
}

// The lock was lost, and perhaps nobody else stored anything: then the answer is written under the lock, taken anew.
const rescue = Effect.fnUntraced(function* <A, E>(
  parts: Deps<A, E>,
  flight: Flight<A>,
  { answer, before, held: lost, reason }: Unwritten<A>
): Effect.fn.Return<Attempt<A>, Failure> {
  const { id } = lost
  const again = Effect.gen(function* () {
    const held = yield* parts.lock.scoped(id, { createIfMissing: false })
    const stored = yield* valueOf(parts, id, held.snapshot)
    if (!Option.makeEquivalence(parts.isSame)(stored, before)) return yield* usable(parts, flight, stored)
    yield* held.commitAndRelease(yield* parts.value.write(contentOf(held.snapshot), answer))
    return Option.some(answer)
  }).pipe(
    Effect.scoped,
    Effect.orElseSucceed(() => Option.none<A>())
  )
  const value = reason._tag === "LockLost" ? yield* again : Option.none<A>()
  if (Option.isSome(value) && value.value === answer) {
    yield* count("Written")
    return { _tag: "Obtained", value: answer, hadLock: true }
  }
  const error = new RefreshError.NotWritten({ id, object: parts.store.describe(id), reason })
  yield* count("NotWritten")
  yield* tell(lost, "Error", error.message)
  return Option.isSome(value) ? { _tag: "Obtained", value: value.value, hadLock: true } : yield* error
})

const valueOf = <A, E>(parts: Deps<A, E>, id: string, metadata: ObjectSnapshot) =>
  Effect.mapError(
    parts.value.read(contentOf(metadata)),
    () =>
      new RefreshError.Unreadable({
        id,
        object: parts.store.describe(id),
        field: refreshValue.describe(parts.path)
      })
  )

// The value where it serves. With that the flight has its answer, and hears of no more spent values.
const usable = <A, E>(
  parts: Deps<A, E>,
  flight: Flight<A>,
  stored: Option.Option<A>
): Effect.Effect<Option.Option<A>> =>
  Option.match(stored, {
    onNone: () => Effect.succeedNone,
    onSome: (value) =>
      Effect.map(parts.isFresh(value), (fresh) => {
        if (!fresh || flight.rejected.some((spent) => parts.isSame(spent, value))) return Option.none()
        flight.stage = "Answered"
        return Option.some(value)
      })
  })

const contentOf = ({ content }: ObjectSnapshot) => {
  if (content === undefined)
    throw new RangeError("RefreshOnce: the store must bring objects along: set its option content")
  return content
}

const count = (outcome: "Written" | "NotWritten" | "Failed" | "Interrupted"): Effect.Effect<void> =>
  Metric.update(Metric.withAttributes(RefreshMetrics.refreshes, { outcome }), 1)

const tell = (held: Held, level: "Warn" | "Error", message: string): Effect.Effect<void> =>
  Effect.annotateLogs(Effect.logWithLevel(level)(message), {
    "kubelock.id": held.id,
    "kubelock.holder": held.holderId
  })
