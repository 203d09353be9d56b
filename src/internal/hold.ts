/** From having a lock to having it no longer: renewal, loss, and release. */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Held } from "../Held.ts"
import * as LockError from "../LockError.ts"
import * as LockMetrics from "../LockMetrics.ts"
import * as LockProtocol from "../LockProtocol.ts"
import * as LockRecord from "../LockRecord.ts"
import type { ContentChange, Metadata } from "../ObjectStore.ts"
import type { Grant, Wish } from "./acquire.ts"
import { commit as commitAndRelease, release } from "./release.ts"
import * as stopwatch from "./stopwatch.ts"
import * as telemetry from "./telemetry.ts"

/**
 * Holds a granted lock in the current scope: renews it, publishes its loss, and releases it when the scope closes.
 *
 * Must not be interrupted between the grant and its return: then the release is certain to run.
 */
export const hold = Effect.fnUntraced(function* (wish: Wish, grant: Grant): Effect.fn.Return<Held, never, Scope.Scope> {
  const { id, policy, store } = wish
  const clock = yield* Clock.Clock
  const lost = yield* Deferred.make<never, LockError.Lost>()
  const acquired = stopwatch.read(clock)
  let { lease, started } = grant
  let released = false
  let committing = false
  const span = yield* telemetry.holding(wish, grant)

  // What this process relies on ends a little before what it wrote, since clocks drift.
  const reliance = Duration.toMillis(policy.ttl) * (1 - stopwatch.maxDrift)
  const remaining = () => (released ? 0 : reliance - stopwatch.between(started, stopwatch.read(clock)).most)

  const isLost = () => Deferred.isDoneUnsafe(lost)

  const lossBy = (reason: LockError.Lost["reason"], seen: Partial<LockProtocol.Seen> = {}) => {
    const heldFor = Duration.millis(Math.round(stopwatch.between(acquired, stopwatch.read(clock)).most))
    return new LockError.Lost({ id, object: store.describe(id), reason, heldFor, ...seen })
  }

  // Tells first: whoever waits for the loss may close the scope at once, and with it end this very fiber.
  const lose = (reason: LockError.Lost["reason"], seen?: Partial<LockProtocol.Seen>) =>
    Effect.suspend(() => {
      if (isLost() || released) return Effect.void
      const error = lossBy(reason, seen)
      return Effect.andThen(telemetry.lost(wish, span, error), Deferred.fail(lost, error))
    }).pipe(Effect.uninterruptible)

  const loseTo = ({ _tag: reason, ...seen }: Exclude<LockProtocol.Fate, { readonly _tag: "Ours" }>) =>
    lose(reason, seen)

  // Renews once. Answers how long to wait before the next renewal; nothing once the lock is lost.
  const renew = Effect.fnUntraced(function* (interval: Duration.Duration) {
    const moment = yield* stopwatch.now
    const next = LockProtocol.nextLease(yield* store.now, { holder: wish.holder, ttl: Duration.toMillis(policy.ttl) })
    const answer = yield* store
      .compareAndSwap(id, {
        expect: { annotations: LockRecord.toAnnotations(policy.key, lease) },
        annotations: LockRecord.toAnnotations(policy.key, next)
      })
      .pipe(
        Effect.flatMap(Option.match({ onNone: () => store.read(id), onSome: () => Effect.undefined })),
        Effect.result
      )
    if (answer._tag === "Failure") {
      const error = answer.failure
      if (error._tag === "LockNotFound" && error.missing === "object") {
        yield* lose("Deleted")
        return undefined
      }
      if (error._tag !== "LockUnavailable") {
        yield* telemetry.tell(wish, "Warn", error.message)
        return retryInterval(interval)
      }
      return Duration.max(retryInterval(interval), error.retryAfter ?? Duration.zero)
    }
    if (answer.success === undefined) {
      lease = next
      started = moment
      yield* telemetry.measure(wish, LockMetrics.renewals, 1)
      return interval
    }
    return (yield* isStillOurs(answer.success)) ? retryInterval(interval) : undefined
  })

  // The condition of a renewal did not hold: did an earlier renewal whose answer got lost change it, or somebody else?
  const isStillOurs = Effect.fnUntraced(function* (found: Metadata) {
    const fate = LockProtocol.fate(LockRecord.fromAnnotations(policy.key, found.annotations), wish.holder)
    if (fate._tag !== "Ours") {
      // Perhaps by the commit that is under way: it will find out.
      if (committing) return true
      yield* fate._tag === "Wiped" && found.uid !== grant.metadata.uid ? lose("Deleted") : loseTo(fate)
      return false
    }
    lease = { holder: wish.holder, expiry: fate.expiry }
    return true
  })

  const renewing = Effect.fnUntraced(function* (interval: Duration.Duration) {
    let wait: Duration.Duration | undefined = interval
    while (wait !== undefined) {
      yield* Effect.sleep(wait)
      if (remaining() <= 0) return
      wait = yield* telemetry.span("renew", wish, span)(renew(interval))
    }
    return yield* Effect.never
  })

  // Ends when the lease has run out, however often it was renewed on the way.
  const runningOut = Effect.suspend(() => Effect.sleep(Duration.millis(Math.max(0, Math.ceil(remaining()))))).pipe(
    Effect.repeat({ until: () => remaining() <= 0 })
  )

  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      if (released) return Effect.void
      released = true
      return telemetry.span("release", wish, span)(release(wish, lease))
    })
  )
  yield* (policy.renew === false ? runningOut : Effect.raceFirst(renewing(policy.renew), runningOut)).pipe(
    Effect.andThen(lose("Expired")),
    Effect.catchCause((cause) =>
      Cause.hasInterruptsOnly(cause)
        ? Effect.void
        : Effect.andThen(telemetry.tell(wish, "Error", cause), lose("Expired"))
    ),
    Effect.forkScoped({ startImmediately: true })
  )

  const stillValid = Effect.suspend(() => {
    if (isLost()) return Deferred.await(lost)
    if (released) return Effect.fail(lossBy("Released"))
    return remaining() > 0 ? Effect.void : Effect.andThen(lose("Expired"), Deferred.await(lost))
  })
  const commit = (content: ReadonlyArray<ContentChange>) =>
    Effect.suspend(() => {
      committing = true
      return commitAndRelease(wish, lease, content)
    }).pipe(
      telemetry.span("commit", wish, span),
      Effect.onExit((exit) =>
        Effect.sync(() => {
          committing = false
          released ||= Exit.isSuccess(exit) && exit.value === undefined
        })
      ),
      Effect.flatMap((fate) => (fate === undefined ? Effect.void : Effect.andThen(loseTo(fate), Deferred.await(lost)))),
      Effect.uninterruptible
    )
  return {
    id,
    holder: wish.holder,
    fencingToken: BigInt(grant.metadata.resourceVersion),
    isValid: Effect.sync(() => remaining() > 0 && !isLost()),
    lost: Deferred.await(lost),
    metadata: grant.metadata,
    commit,
    guard: (effect) =>
      stillValid.pipe(Effect.andThen(Effect.raceFirst(effect, Deferred.await(lost))), Effect.tap(stillValid))
  }
})

const retryInterval = (interval: Duration.Duration): Duration.Duration => Duration.divideUnsafe(interval, 5)
