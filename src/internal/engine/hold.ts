/** From having a lock to having it no longer: renewal, loss, and release. */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as LockError from "../../LockError.ts"
import * as LockMetrics from "../../LockMetrics.ts"
import * as LockProtocol from "../../LockProtocol.ts"
import * as LockQueue from "../../LockQueue.ts"
import * as LockRecord from "../../LockRecord.ts"
import type { ObjectSnapshot } from "../../ObjectStore.ts"
import { commit as commitAndRelease, release } from "./release.ts"
import * as ClockReading from "../time/clockReading.ts"
import * as telemetry from "./telemetry.ts"
import type { Holding, Turn } from "./turn.ts"
import type { Grant, Wish } from "./wish.ts"

/**
 * Holds a granted lock until its end is run: renews it, publishes its loss, and then releases it. Before the first renewal
 * is due there is nothing to it but an alarm.
 *
 * Must not be interrupted between the grant and its return: then the release is certain to run.
 */
export const hold = Effect.fnUntraced(function* (wish: Wish, grant: Grant): Effect.fn.Return<Holding> {
  const { id, policy, store } = wish
  const clock = yield* Clock.Clock
  const fork = Effect.runForkWith(yield* Effect.context())
  const lost = Deferred.makeUnsafe<never, LockError.Lost>()
  const acquired = ClockReading.read(clock)
  let { lasts, lease, started } = grant
  let known = grant.metadata
  // The expiries that this hold may have written: another lease in our name is a later hand-over's, to a wish long gone.
  let written = new Set([lease.expiry])
  // Once a commit is sent the server may have released the lock, whether or not its answer comes.
  let phase: "Held" | "Committing" | "Unsettled" | "Released" = "Held"

  // What this process relies on ends a little before what it wrote, since clocks drift.
  const remaining = () =>
    lasts * (1 - ClockReading.maxDrift) - ClockReading.elapsed(started, ClockReading.read(clock)).max
  const isLost = () => Deferred.isDoneUnsafe(lost)

  const lossBy = (reason: LockError.Lost["reason"], seen: Partial<LockProtocol.HolderInfo> = {}) => {
    const heldFor = Duration.millis(Math.round(ClockReading.elapsed(acquired, ClockReading.read(clock)).max))
    return new LockError.Lost({ id, object: store.describe(id), reason, heldFor, ...seen })
  }

  // Tells first: whoever waits for the loss may close the scope at once, and with it end this very fiber.
  const lose = (reason: LockError.Lost["reason"], seen?: Partial<LockProtocol.HolderInfo>) =>
    Effect.suspend(() => {
      if (isLost() || phase !== "Held") return Effect.void
      const error = lossBy(reason, seen)
      return Effect.andThen(telemetry.lost(wish, turn.span, error), Deferred.fail(lost, error))
    }).pipe(Effect.uninterruptible)

  const loseTo = ({ _tag: reason, ...seen }: Exclude<LockProtocol.LeaseCheck, { readonly _tag: "Ours" }>) =>
    lose(reason, seen)

  // Renews once. Answers how long to wait before the next renewal; nothing once the lock is lost.
  const renew = Effect.fnUntraced(function* (interval: Duration.Duration) {
    const moment = yield* ClockReading.now
    const contender = { holderId: wish.holder, ttl: Duration.toMillis(policy.ttl) }
    const next = LockProtocol.nextLease(yield* store.now, contender, lease.expiry)
    written.add(next.expiry)
    const answer = yield* store
      .compareAndSwap(id, {
        expect: { annotations: LockRecord.toAnnotations(policy.annotation, lease) },
        annotations: LockRecord.toAnnotations(policy.annotation, next)
      })
      .pipe(
        Effect.flatMap(
          Option.match({
            onNone: () => store.read(id),
            onSome: (metadata) => {
              known = metadata
              return Effect.undefined
            }
          })
        ),
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
      // Whatever an overloaded server asks for: a lease that runs out while it is obeyed helps nobody.
      return Duration.clamp(error.retryAfter ?? Duration.zero, { minimum: retryInterval(interval), maximum: interval })
    }
    if (answer.success === undefined) {
      lease = next
      written = new Set([next.expiry])
      lasts = contender.ttl
      started = moment
      yield* telemetry.measure(wish, LockMetrics.renewals, 1)
      return interval
    }
    return (yield* isStillOurs(answer.success)) ? retryInterval(interval) : undefined
  })

  // The condition of a renewal did not hold: did an earlier renewal whose answer got lost change it, or somebody else?
  const isStillOurs = Effect.fnUntraced(function* (found: ObjectSnapshot) {
    const fate = LockProtocol.verifyLease(LockRecord.fromAnnotations(policy.annotation, found.annotations), wish.holder)
    if (fate._tag !== "Ours") {
      yield* fate._tag === "Removed" && found.uid !== grant.metadata.uid ? lose("Deleted") : loseTo(fate)
      return false
    }
    if (!written.has(fate.expiry)) {
      yield* lose("TakenOver", { expiry: fate.expiry, holder: wish.holder })
      return false
    }
    lease = { holderId: wish.holder, expiry: fate.expiry }
    known = found
    return true
  })

  const renewing = Effect.fnUntraced(function* (interval: Duration.Duration) {
    while (remaining() > 0) {
      const wait = yield* telemetry.span("renew", wish, turn.span)(renew(interval))
      if (wait === undefined) return yield* Effect.never
      yield* Effect.sleep(wait)
    }
  })

  // Ends when the lease has run out, however often it was renewed on the way.
  const runningOut = Effect.suspend(() => Effect.sleep(Duration.millis(Math.max(shortestSleep, remaining())))).pipe(
    Effect.repeat({ until: () => remaining() <= 0 })
  )

  const turn: Turn = {
    wish,
    grant,
    lease: () => lease,
    isAwaited: () => LockQueue.fromAnnotations(policy.annotation, known.annotations).waiters.length > 0,
    isValid: () => phase === "Held" && remaining() > 0 && !isLost(),
    lost: Deferred.await(lost),
    check: Effect.suspend(() => {
      if (isLost()) return Deferred.await(lost)
      if (phase !== "Held") return Effect.fail(lossBy("Released"))
      return remaining() > 0 ? Effect.void : Effect.andThen(lose("Expired"), Deferred.await(lost))
    }),
    released: () => lossBy("Released"),
    commit: (content) =>
      Effect.suspend(() => {
        phase = "Committing"
        return commitAndRelease(wish, lease, known, content)
      }).pipe(
        telemetry.span("commit", wish, turn.span),
        Effect.matchEffect({
          onSuccess: (fate) => {
            phase = fate === undefined ? "Released" : "Held"
            return fate === undefined ? Effect.void : Effect.andThen(loseTo(fate), turn.lost)
          },
          onFailure: (error) => {
            phase = error._tag === "LockUnavailable" ? "Unsettled" : "Held"
            return Effect.fail(error)
          }
        }),
        Effect.uninterruptible
      ),
    passes: 0,
    requeue: undefined,
    leftFree: undefined,
    span: undefined
  }

  const standing = (
    policy.renewEvery === false ? runningOut : Effect.raceFirst(renewing(policy.renewEvery), runningOut)
  ).pipe(
    Effect.andThen(lose("Expired")),
    Effect.catchCause((cause) =>
      Cause.hasInterruptsOnly(cause)
        ? Effect.void
        : Effect.andThen(telemetry.tell(wish, "Error", cause), lose("Expired"))
    )
  )
  let fiber: Fiber.Fiber<void> | undefined
  const first =
    policy.renewEvery === false ? remaining() : Math.min(Duration.toMillis(policy.renewEvery), grant.lasts / 3)
  const callOff = wish.alarms.schedule(Math.min(first, remaining()), () => {
    fiber = fork(standing)
  })

  const letGo = Effect.suspend(() => {
    if (phase === "Released") return Effect.void
    phase = "Released"
    return release(wish, lease, known, turn.requeue).pipe(
      Effect.map((free) => {
        turn.leftFree = free
      }),
      telemetry.span("release", wish, turn.span)
    )
  })

  return {
    turn,
    end: Effect.suspend(() => {
      callOff()
      return fiber === undefined ? letGo : Effect.andThen(Fiber.interrupt(fiber), letGo)
    })
  }
})

// In milliseconds: what is left of a lease can be less than a clock can tell.
const shortestSleep = 0.001

const retryInterval = (interval: Duration.Duration): Duration.Duration => Duration.divideUnsafe(interval, 5)
