/**
 * Gets a fresh value: read, acquire the lock, read again, refresh, then write and release in one request.
 *
 * A process that does not get the lock waits for the value, not for the lock. So the losers of a race write nothing. It waits by a watch
 * that brings the value, and polls only where it has none.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import type { Held } from "../../Held.ts"
import type { TryError } from "../../Lock.ts"
import * as LockError from "../../LockError.ts"
import * as LockProtocol from "../../LockProtocol.ts"
import type { ObjectSnapshot } from "../../ObjectStore.ts"
import * as RefreshError from "../../RefreshError.ts"
import * as RefreshMetrics from "../../RefreshMetrics.ts"
import { startPatience, startPause } from "../protocol/startPatience.ts"
import { isOfStart } from "../protocol/answer.ts"
import * as waitBudget from "../engine/waitBudget.ts"
import * as ClockReading from "../time/clockReading.ts"
import { inSpan, quiet } from "../tracing.ts"
import { count, type Deps, type Failure, log, mayPass, storedValue } from "./deps.ts"
import { longestStep } from "./sightings.ts"
import { prolong } from "./prolong.ts"
import type { Flight } from "./singleFlight.ts"
import { keepLock, settle, type Unwritten } from "./unwritten.ts"
import type { ValueWatch } from "./valueWatch.ts"
import * as writable from "./writable.ts"
import { writeAnswer } from "./writeAnswer.ts"

type Attempt<A> =
  | { readonly _tag: "Fresh"; readonly value: A }
  | HeldElsewhere
  | { readonly _tag: "Unavailable"; readonly error: LockError.StoreError }

/**
 * Another process has the lock, or may write its answer to an object that is gone (`isVanished`). `until`: when the lock expires on the
 * server's clock, as far as it was seen. `lookAt`: when to look although a watch tells nothing (milliseconds on the monotonic clock).
 */
interface HeldElsewhere {
  readonly _tag: "Held"
  readonly isVanished?: true
  readonly until?: number
  readonly lookAt?: number
  readonly expiry?: string
  readonly holder?: string
}

/** `Unwritten`: the upstream answered, and the write failed. `Failed`: the upstream did not answer, or refused. */
type AttemptUnderLock<A, E> =
  | Attempt<A>
  | ({ readonly _tag: "Unwritten" } & Unwritten<A>)
  | { readonly _tag: "Failed"; readonly error: E; readonly held: Held }

/**
 * Gets a fresh value, within the wait schedule of the policy.
 *
 * If this process held the lock last, it can probably acquire it at once. The first attempt then skips the read before the lock. A
 * process that knows a value that another one has written expects that one to be first again: it watches the object instead of
 * reading it.
 */
export const obtain = Effect.fnUntraced(function* <A, E>(
  deps: Deps<A, E>,
  id: string,
  flight: Flight<A>
): Effect.fn.Return<A, E | Failure, Scope.Scope> {
  const known = deps.knowledge.get(id)
  const startedAt = yield* ClockReading.now
  const budget = waitBudget.make(deps.policy.waitSchedule, startedAt.monotonic)
  let refusedSince: number | undefined
  let watch = known === undefined || known.hadLock ? undefined : yield* deps.watches.open(id)
  let outcome: Attempt<A> =
    known?.hadLock === true
      ? yield* tryUnderLock(deps, id, flight)
      : watch === undefined
        ? yield* readThenTry(deps, id, flight)
        : { _tag: "Held" }
  for (let attempts = 1; ;) {
    if (watch?.isOver() === true) watch = undefined
    if (outcome._tag === "Fresh") return outcome.value
    const error = outcome._tag === "Unavailable" ? outcome.error : undefined
    if (error !== undefined && isOfStart(error)) {
      const { monotonic } = yield* ClockReading.now
      refusedSince ??= monotonic
      if (monotonic - refusedSince >= startPatience) return yield* error
    } else refusedSince = undefined
    const isAwaited: boolean = outcome._tag === "Held" && outcome.isVanished !== true
    if (isAwaited) watch ??= yield* deps.watches.open(id)
    const telling = isAwaited ? watch : undefined
    const remaining = yield* budget.left(outcome, telling === undefined ? 0 : waitBudget.ahead)
    if (Option.isNone(remaining)) {
      if (outcome._tag === "Unavailable") return yield* outcome.error
      const { _tag, isVanished: _, lookAt: __, until: ___, ...holder } = outcome
      const waited = Duration.millis(Math.round(ClockReading.elapsed(startedAt, yield* ClockReading.now).max))
      return yield* new LockError.Timeout({ id, object: deps.store.describe(id), attempts, waited, ...holder })
    }
    const retryAfter = error?._tag === "LockUnavailable" ? error.retryAfter : undefined
    const pause = refusedSince === undefined ? (retryAfter ?? Duration.zero) : Duration.millis(startPause)
    if (outcome._tag === "Held" && telling !== undefined) {
      const before = outcome
      outcome = yield* awaitNews(deps, id, flight, telling, before, remaining.value)
      if (outcome !== before) attempts++
    } else {
      attempts++
      yield* Effect.sleep(Duration.max(Duration.millis(remaining.value), pause))
      outcome = yield* readThenTry(deps, id, flight)
    }
  }
})

/**
 * How long a process waits before it takes a lock that its watch shows as free, in milliseconds, at least and at most. The last holder
 * takes it at once, and the first of the others before the rest. Our choice.
 */
export const spread = { atLeast: 25, atMost: 100 }

// Waits for what the watch tells, for so many milliseconds. Looks at the object itself if the lock may have expired, if the watch may be
// deaf, or if there may be nothing to tell. A caller that rejects a value is alone with that: it does not leave the lock to others first.
const awaitNews = Effect.fnUntraced(function* <A, E>(
  deps: Deps<A, E>,
  id: string,
  flight: Flight<A>,
  watch: ValueWatch,
  held: HeldElsewhere,
  millis: number
): Effect.fn.Return<Attempt<A>, E | Failure> {
  const { earliest } = yield* deps.store.now
  const { monotonic } = yield* ClockReading.now
  const silence = Math.min(
    watch.patience(),
    held.until === undefined ? Number.POSITIVE_INFINITY : Math.max(1, held.until + 1 - earliest),
    held.lookAt === undefined ? Number.POSITIVE_INFINITY : Math.max(1, held.lookAt - monotonic)
  )
  let news = yield* watch.next(Math.min(millis, silence))
  if (news._tag === "Nothing" && millis < silence) return held
  while (news._tag === "Changed") {
    if (deps.sightings.isOutdated(id, news.snapshot)) return yield* readThenTry(deps, id, flight)
    const verdict = yield* judge(deps, id, flight, news.snapshot)
    if (verdict._tag !== "Stale") return verdict
    const { atLeast, atMost } = spread
    news =
      flight.rejected().length > 0 ? { _tag: "Nothing" } : yield* watch.next(yield* Random.nextBetween(atLeast, atMost))
    if (news._tag === "Nothing") return yield* tryUnderLock(deps, id, flight, verdict.snapshot)
  }
  return yield* readThenTry(deps, id, flight, watch)
})

// A fresh value is good, no matter where it was read. The lock is needed only if the value is stale and the lock is not held.
const readThenTry = Effect.fnUntraced(function* <A, E>(
  deps: Deps<A, E>,
  id: string,
  flight: Flight<A>,
  watch?: ValueWatch
): Effect.fn.Return<Attempt<A>, E | Failure> {
  const reading = yield* Effect.result(deps.store.read(id))
  if (reading._tag === "Failure") {
    const error = reading.failure
    if (mayPass(error)) return { _tag: "Unavailable", error }
    if (error._tag !== "LockNotFound" || error.missing !== "object" || !deps.createIfMissing) return yield* error
    if (yield* mustWait(deps, id, undefined, Option.none())) return { _tag: "Held", isVanished: true }
    return yield* tryUnderLock(deps, id, flight)
  }
  if (watch !== undefined) yield* watch.compare(reading.success)
  const verdict = yield* judge(deps, id, flight, reading.success)
  return verdict._tag === "Stale" ? yield* tryUnderLock(deps, id, flight, verdict.snapshot) : verdict
})

/** What a state of the object means. `Stale`: the value is not fresh, and the lock is not held. */
type Verdict<A> =
  | { readonly _tag: "Fresh"; readonly value: A }
  | HeldElsewhere
  | { readonly _tag: "Stale"; readonly snapshot: ObjectSnapshot }

const judge = Effect.fnUntraced(function* <A, E>(
  deps: Deps<A, E>,
  id: string,
  flight: Flight<A>,
  snapshot: ObjectSnapshot
): Effect.fn.Return<Verdict<A>, Failure> {
  const stored = yield* storedValue(deps, id, snapshot)
  const waits = yield* mustWait(deps, id, snapshot, stored)
  const fresh = yield* accept(deps, id, flight, stored)
  if (Option.isSome(fresh)) {
    deps.knowledge.read(id, fresh.value, false)
    return { _tag: "Fresh", value: fresh.value }
  }
  if (waits) return { _tag: "Held", isVanished: true }
  const now = yield* deps.store.now
  const state = LockProtocol.lockState(deps.kind.decode(snapshot.annotations), now)
  if (state._tag !== "Held" && state._tag !== "Expired") return { _tag: "Stale", snapshot }
  const left = state._tag === "Held" ? 0 : graceLeft(deps, id, state, yield* ClockReading.now)
  if (state._tag === "Expired" && left <= 0) return { _tag: "Stale", snapshot }
  const { expiry, holder } = state
  const until = state._tag === "Held" ? state.until : now.earliest + Math.min(left, longestStep)
  return { _tag: "Held", until, expiry, ...(holder === undefined ? {} : { holder }) }
})

// The holder of a lease that has expired may be cut off from the API server, with an answer of the upstream in its hands. It can write
// that answer as long as nobody takes the lock over.
const graceLeft = <A, E>(
  { sightings, takeoverGrace }: Deps<A, E>,
  id: string,
  holder: LockProtocol.HolderInfo,
  { monotonic }: ClockReading.ClockReading
): number => takeoverGrace - sightings.seeExpired(id, holder, monotonic)

// An object that this process has seen vanished, and its lock with it. The process that held the lock gets the time that its lease
// would have lasted, to write its answer to a new object.
const mustWait = <A, E>(
  { policy, sightings }: Deps<A, E>,
  id: string,
  object: ObjectSnapshot | undefined,
  stored: Option.Option<A>
): Effect.Effect<boolean> =>
  Effect.map(ClockReading.now, ({ monotonic }) => {
    const vanishedFor = sightings.see(id, object, monotonic)
    return Option.isNone(stored) && vanishedFor !== undefined && vanishedFor < Duration.toMillis(policy.ttl)
  })

// The upstream gives its answer only once. Nothing may interrupt the fiber between the answer and the write.
const tryUnderLock = <A, E>(
  deps: Deps<A, E>,
  id: string,
  flight: Flight<A>,
  snapshot?: ObjectSnapshot
): Effect.Effect<Attempt<A>, E | Failure> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const kept = deps.holds.get(id)
      if (kept !== undefined) return { _tag: "Unavailable", error: kept.reason }
      const scope = yield* Scope.make()
      const { createIfMissing } = deps
      const clock = yield* Clock.Clock
      const spares = (holder: LockProtocol.HolderInfo) => graceLeft(deps, id, holder, ClockReading.read(clock)) > 0
      const acquiring = deps.lock.tryScoped(id, { createIfMissing, snapshot, spares })
      const exit = yield* restore(Scope.provide(acquiring, scope)).pipe(
        Effect.matchEffect({
          onSuccess: (held) => refreshUnderLock(deps, held, flight, restore),
          onFailure: notAcquired
        }),
        Effect.exit
      )
      const isKept = Exit.isSuccess(exit) && exit.value._tag === "Unwritten" && keepLock(deps, exit.value, scope)
      if (!isKept) yield* leave(deps, scope, exit)
      const outcome = yield* exit
      switch (outcome._tag) {
        case "Failed":
          return yield* Effect.fail(outcome.error)
        case "Unwritten":
          return yield* afterUnwritten(deps, flight, outcome)
        default:
          return outcome
      }
    })
  )

// Another contender of this process may give up without having written to the object.
const notAcquired = (error: TryError): Effect.Effect<Attempt<never>, Exclude<TryError, LockError.Conflict>> => {
  switch (error._tag) {
    case "LockConflict": {
      const { expiry, holder, thisProcess } = error
      return Effect.map(ClockReading.now, ({ monotonic }): Attempt<never> => ({
        _tag: "Held",
        ...(thisProcess === undefined ? {} : { lookAt: monotonic + LockProtocol.recheckAfter }),
        ...(expiry === undefined ? {} : { expiry }),
        ...(holder === undefined ? {} : { holder })
      }))
    }
    case "LockUnavailable":
    case "LockForbidden":
    case "LockNotFound":
      return mayPass(error) ? Effect.succeed({ _tag: "Unavailable", error }) : Effect.fail(error)
    default:
      return Effect.fail(error)
  }
}

// While the lock is held, no process asks the upstream.
const leave = <A, E>(
  deps: Deps<A, E>,
  scope: Scope.Closeable,
  exit: Exit.Exit<AttemptUnderLock<A, E>, unknown>
): Effect.Effect<void> => {
  const close = Scope.close(scope, exit)
  if (!Exit.isSuccess(exit) || exit.value._tag !== "Failed") return close
  const { error, held } = exit.value
  return Effect.sync(() => Duration.fromInputUnsafe(deps.pauseAfter(error))).pipe(
    Effect.onError(() => close),
    Effect.flatMap((pause) =>
      Duration.isZero(pause)
        ? close
        : FiberSet.run(
            deps.pauses,
            Effect.ensuring(Effect.raceFirst(Effect.sleep(pause), prolong(deps, held)), close),
            { startImmediately: true }
          )
    )
  )
}

const refreshUnderLock = Effect.fnUntraced(function* <A, E>(
  deps: Deps<A, E>,
  held: Held,
  flight: Flight<A>,
  restore: <B, F, R>(effect: Effect.Effect<B, F, R>) => Effect.Effect<B, F, R>
): Effect.fn.Return<AttemptUnderLock<A, E>, Failure> {
  const { id } = held
  const { knowledge, location } = deps
  const stored = yield* storedValue(deps, id, held.snapshot)
  const fresh = yield* restore(accept(deps, id, flight, stored))
  if (Option.isSome(fresh)) {
    knowledge.read(id, fresh.value, true)
    return { _tag: "Fresh", value: fresh.value }
  }
  if (yield* mustWait(deps, id, held.snapshot, stored)) return { _tag: "Held", isVanished: true }
  const current = knowledge.current(id, stored)
  const verdict = yield* restore(writable.check(deps, held))
  if (verdict._tag === "Unavailable") return verdict
  // If the lease ran out since the read, another process may have used the stored value up.
  if (verdict._tag === "Changed" || !(yield* held.isValid)) return { _tag: "Held" }
  flight.onRefresh()
  const asking = Effect.raceFirst(callUpstream(deps, held, flight, current), prolong(deps, held))
  const answer = yield* Effect.result(restore(asking))
  if (answer._tag === "Failure") return { _tag: "Failed", error: answer.failure, held }
  const spent = [...Option.toArray(stored), ...Option.toArray(current)]
  const encoded = yield* Effect.result(location.encode(answer.success))
  if (encoded._tag === "Failure") {
    knowledge.replaced(id, spent, answer.success)
    knowledge.wrote(id, false)
    knowledge.reject(id, answer.success)
    const error = new RefreshError.NotEncodable({ id, object: deps.store.describe(id) })
    yield* count("NotWritten")
    yield* log(id, "Error", error.message)
    return yield* error
  }
  const { patch, value } = encoded.success
  knowledge.replaced(id, spent, value)
  const written = yield* Effect.result(writeAnswer(deps, held, patch))
  if (written._tag === "Failure") return { _tag: "Unwritten", id, held, value, ...written.failure }
  knowledge.wrote(id, true)
  yield* count("Written")
  return { _tag: "Fresh", value }
})

const afterUnwritten = Effect.fnUntraced(function* <A, E>(
  deps: Deps<A, E>,
  flight: Flight<A>,
  unwritten: Unwritten<A>
): Effect.fn.Return<Attempt<A>, RefreshError.NotWritten> {
  const settled = yield* settle(deps, unwritten)
  const known = deps.knowledge.get(unwritten.id)
  if (settled._tag === "Outdated" && known !== undefined) return { _tag: "Fresh", value: known.newest }
  if (settled._tag !== "Superseded") return { _tag: "Fresh", value: unwritten.value }
  const fresh = yield* accept(deps, unwritten.id, flight, Option.some(settled.stored))
  return Option.isSome(fresh) ? { _tag: "Fresh", value: fresh.value } : yield* settled.error
})

// The flight has its answer from here on, also while `prolong` still ends a request.
const callUpstream = <A, E>(
  deps: Deps<A, E>,
  held: Held,
  flight: Flight<A>,
  current: Option.Option<A>
): Effect.Effect<A, E> =>
  Effect.flatMap(Clock.monotonicTimeNanos, (startedAt) =>
    Effect.suspend(() => deps.refresh(current, { id: held.id, fencingToken: held.fencingToken })).pipe(
      (refreshing) => inSpan("kubelock.refresh.upstream", {}, () => refreshing),
      Effect.tap(() => Effect.sync(flight.onAnswer)),
      Effect.onError((cause) =>
        Effect.suspend(() => {
          flight.onFailure()
          return reportFailure(deps, held, cause)
        })
      ),
      Effect.ensuring(
        Effect.flatMap(Clock.monotonicTimeNanos, (now) =>
          quiet(Metric.update(RefreshMetrics.upstreamSeconds, Number(now - startedAt) / 1e9))
        )
      )
    )
  )

const reportFailure = <A, E>(deps: Deps<A, E>, { id }: Held, cause: Cause.Cause<E>): Effect.Effect<void> =>
  Cause.hasInterruptsOnly(cause)
    ? Effect.andThen(
        count("Interrupted"),
        log(
          id,
          "Warn",
          `The refresh of ${deps.store.describe(id)} was interrupted before the upstream answered. If the upstream issued a new value, that value is lost.`
        )
      )
    : count("Failed")

// A value is the answer of the flight if it is fresh, not known to be spent, and no caller has rejected it.
const accept = <A, E>(
  deps: Deps<A, E>,
  id: string,
  flight: Flight<A>,
  found: Option.Option<A>
): Effect.Effect<Option.Option<A>> =>
  Option.match(found, {
    onNone: () => Effect.succeedNone,
    onSome: (value) =>
      Effect.map(deps.isFresh(value), (fresh) => {
        const isRejected = flight.rejected().some((rejected) => deps.isSame(rejected, value))
        if (!fresh || isRejected || deps.knowledge.isSpent(id, value)) return Option.none()
        flight.onAnswer()
        return Option.some(value)
      })
  })
