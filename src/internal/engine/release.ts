/**
 * Giving a lock back: to whoever waits for it, or to nobody. Only what is ours, only while it is ours, and never as a
 * failure of the work that it protected.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as LockError from "../../LockError.ts"
import * as LockProtocol from "../../LockProtocol.ts"
import * as LockQueue from "../../LockQueue.ts"
import * as LockRecord from "../../LockRecord.ts"
import type { Content, FieldPatch, ObjectSnapshot } from "../../ObjectStore.ts"
import * as ClockReading from "../time/clockReading.ts"
import { tell } from "./telemetry.ts"
import type { Wish } from "./wish.ts"

/**
 * Releases a lease, by the object as it was last seen: one request where nothing went wrong. `requeue` is who of this
 * process wants the lock again: with the same request it gets a place in the queue, where there is one. What cannot be
 * released within 5 seconds (or the time that the store gives one request) is logged with the time at which it frees itself.
 *
 * Who arrived in the queue without our knowing has not been thought of. The answer tells: then it is answered in turn,
 * for `passOn`.
 */
export const release = (
  wish: Wish,
  lease: LockRecord.Lease,
  seen: ObjectSnapshot,
  requeue: Wish | undefined
): Effect.Effect<ObjectSnapshot | undefined> =>
  persistently(giveUpLease(wish, lease, seen, requeue), giveUpOurs(wish, requeue)).pipe(
    Effect.catch((problem) =>
      Effect.as(
        tell(
          wish,
          "Warn",
          `The lock "${wish.id}" on ${wish.store.describe(wish.id)} could not be released and frees itself at ${lease.expiry}: ${problem}`
        ),
        undefined
      )
    )
  )

/** Hands a lock that was left free in this version of the object to the first who waits, unless somebody is faster. */
export const passOn = (wish: Wish, free: ObjectSnapshot, requeue: Wish | undefined): Effect.Effect<void> =>
  persistently(grantFirst(wish, free, requeue), passOnOurs(wish, requeue)).pipe(
    Effect.catch((problem) =>
      tell(
        wish,
        "Warn",
        `The lock "${wish.id}" on ${wish.store.describe(wish.id)} is free, and those who wait for it may not hear of it before ${Duration.format(wish.policy.ttl)} have passed: ${problem}`
      )
    )
  )

/**
 * Gives up a wish that may stand in the queue, or may have been granted, without our knowing. A write that was cut off is
 * given a moment to arrive: what a reading before it does not show would be left behind.
 */
export const abandon = (wish: Wish): Effect.Effect<void> =>
  persistently(passOnOurs(wish, undefined), passOnOurs(wish, undefined)).pipe(
    Effect.delay(wish.isWriting ? aMoment : 0),
    Effect.catch((problem) =>
      tell(
        wish,
        "Warn",
        `The lock "${wish.id}" on ${wish.store.describe(wish.id)} may have been taken by a request without an answer; if so it frees itself within ${Duration.format(wish.policy.ttl)}: ${problem}`
      )
    )
  )

/**
 * Writes content and releases, both or nothing. Answers what became of the lease where it was not ours any more.
 */
export const commit = Effect.fnUntraced(function* (
  wish: Wish,
  lease: LockRecord.Lease,
  seen: ObjectSnapshot,
  content: ReadonlyArray<FieldPatch>
): Effect.fn.Return<Exclude<LockProtocol.LeaseCheck, { readonly _tag: "Ours" }> | undefined, LockError.StoreError> {
  const { id, policy, store } = wish
  let current = lease
  let last = seen
  let unanswered: LockError.Unavailable | undefined
  let isFinal = false
  const once = Effect.gen(function* () {
    const { succession, write } = yield* relinquishing(wish, current, last, undefined)
    const answer = yield* store
      .compareAndSwap(id, { ...write, content })
      .pipe(Effect.tapErrorTag("LockUnavailable", (error) => Effect.sync(() => (unanswered = error))))
    if (Option.isNone(answer)) return yield* settle
    const free = yield* settled(wish, succession, answer.value, undefined)
    if (free !== undefined) yield* passOn(wish, free, undefined)
    return undefined
  })
  // Either an earlier write of ours was applied though its answer got lost, or a renewal, or the lock is another's, or
  // the queue has changed.
  const settle = Effect.gen(function* () {
    const found = yield* store.read(id)
    const fate = LockProtocol.verifyLease(LockRecord.fromAnnotations(policy.annotation, found.annotations), wish.holder)
    if (fate._tag !== "Ours") {
      if (content.every((change) => holds(found.content, change))) return undefined
      if (unanswered === undefined) return fate
      // A write of ours may have been applied, and another holder may have written over it since: nobody can tell.
      isFinal = true
      return yield* unanswered
    }
    if (found.resourceVersion === last.resourceVersion) {
      return yield* new LockError.Rejected({
        object: store.describe(id),
        verb: "patch",
        status: 422,
        detail: "the lock is ours, and yet the write was refused: is a field missing on the way to what it sets"
      })
    }
    current = { holderId: wish.holder, expiry: fate.expiry }
    last = found
    return yield* new LockError.Unavailable({ object: store.describe(id), verb: "patch", detail: "the object changed" })
  })
  return yield* Effect.retry(once, {
    while: (error) => error._tag === "LockUnavailable" && !isFinal,
    schedule: commitRetries
  })
})

const commitRetries = Schedule.min([Schedule.exponential("20 millis"), Schedule.spaced("1 second")]).pipe(
  Schedule.upTo({ duration: "30 seconds" })
)

const holds = (content: Content | undefined, { path, value }: FieldPatch): boolean => {
  const found = path.reduce<unknown>((within, name) => (within as Record<string, unknown> | undefined)?.[name], content)
  return value === null ? found === undefined : Equal.equals(found, value)
}

type Problem = LockError.StoreError | "Changed"

const isPassing = (problem: Problem): boolean => problem === "Changed" || problem._tag === "LockUnavailable"

const leaving = (wish: Wish, requeue: Wish | undefined): LockProtocol.ReleaseRequest => ({
  key: wish.policy.annotation,
  holderId: wish.holder,
  requeue: requeue?.holder,
  sharedWithDex: wish.besideDex
})

const relinquishing = (wish: Wish, lease: LockRecord.Lease, seen: ObjectSnapshot, requeue: Wish | undefined) =>
  Effect.map(wish.store.now, (now) => LockProtocol.planRelease(seen, lease, now, leaving(wish, requeue)))

const giveUpLease = Effect.fnUntraced(function* (
  wish: Wish,
  lease: LockRecord.Lease,
  seen: ObjectSnapshot,
  requeue: Wish | undefined
): Effect.fn.Return<ObjectSnapshot | undefined, Problem> {
  const { succession, write } = yield* relinquishing(wish, lease, seen, requeue)
  if (requeue !== undefined && succession.requeued) requeue.mayQueue = true
  const answer = yield* wish.store.compareAndSwap(wish.id, write)
  if (Option.isNone(answer)) return yield* Effect.fail("Changed" as const)
  return yield* settled(wish, succession, answer.value, requeue)
})

// What there is to know after a release: whether somebody was handed the lock, is still to be thought of, or nobody waits.
const settled = Effect.fnUntraced(function* (
  wish: Wish,
  { requeued, wakes }: Pick<LockProtocol.HandOverPlan, "requeued" | "wakes">,
  answer: ObjectSnapshot,
  requeue: Wish | undefined
): Effect.fn.Return<ObjectSnapshot | undefined> {
  if (requeue !== undefined && requeued) requeue.seen = answer
  if (wakes || LockRecord.fromAnnotations(wish.policy.annotation, answer.annotations)._tag !== "Absent")
    return undefined
  if (LockQueue.fromAnnotations(wish.policy.annotation, answer.annotations).waiters.length > 0) return answer
  yield* wish.memory.remember(answer)
  return undefined
})

const grantFirst = Effect.fnUntraced(function* (
  wish: Wish,
  free: ObjectSnapshot,
  requeue: Wish | undefined
): Effect.fn.Return<void, Problem> {
  const { requeued, write } = LockProtocol.planHandOver(free, yield* wish.store.now, leaving(wish, requeue))
  if (requeue !== undefined && requeued) requeue.mayQueue = true
  const expect = { resourceVersion: free.resourceVersion }
  const answer = yield* wish.store.compareAndSwap(wish.id, { expect, ...write })
  if (Option.isNone(answer)) return yield* Effect.fail("Changed" as const)
  if (requeue !== undefined && requeued) requeue.seen = answer.value
})

// Reads first: the lease that stands may be ours with another expiry, by a renewal whose answer got lost.
const giveUpOurs = Effect.fnUntraced(function* (
  wish: Wish,
  requeue: Wish | undefined
): Effect.fn.Return<ObjectSnapshot | undefined, Problem> {
  const { holder, id, policy, store } = wish
  const found = yield* store.read(id)
  const departure = LockQueue.leavePatch(policy.annotation, found.annotations, holder)
  const left = departure === undefined ? Option.some(found) : yield* store.compareAndSwap(id, departure)
  if (Option.isNone(left)) return yield* Effect.fail("Changed" as const)
  const fate = LockProtocol.verifyLease(LockRecord.fromAnnotations(policy.annotation, left.value.annotations), holder)
  return fate._tag === "Ours"
    ? yield* giveUpLease(wish, { holderId: holder, expiry: fate.expiry }, left.value, requeue)
    : yield* settled(wish, { wakes: false, requeued: false }, left.value, requeue)
})

const passOnOurs = (wish: Wish, requeue: Wish | undefined): Effect.Effect<void, Problem> =>
  Effect.flatMap(giveUpOurs(wish, requeue), (free) =>
    free === undefined ? Effect.void : grantFirst(wish, free, requeue)
  )

// What fails in passing is done again, and again, by the object as it is then. A single request is bounded by the store.
const persistently = <A>(
  first: Effect.Effect<A, Problem>,
  again: Effect.Effect<A, Problem>
): Effect.Effect<A | undefined, string> =>
  Effect.flatMap(ClockReading.now, (began) =>
    first.pipe(
      Effect.catchIf(isPassing, (problem) =>
        Effect.flatMap(ClockReading.now, (now) => {
          const left = patienceMillis - ClockReading.elapsed(began, now).max
          if (left <= 0) return Effect.fail(problem)
          return Effect.retry(again, { while: isPassing, schedule: retries }).pipe(
            Effect.timeoutOrElse({ duration: left, orElse: () => Effect.fail(problem) })
          )
        })
      ),
      Effect.catchTag("LockNotFound", () => Effect.undefined),
      Effect.mapError((problem) => (problem === "Changed" ? "it kept changing" : problem.message))
    )
  )

const retries = Schedule.min([Schedule.exponential("20 millis"), Schedule.spaced("250 millis")]).pipe(Schedule.jittered)

const patienceMillis = 5000

// In milliseconds.
const aMoment = 50
