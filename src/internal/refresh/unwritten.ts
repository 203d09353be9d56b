/**
 * Answers of the upstream that could not be written. The process keeps them in memory, and goes on trying to write them, as long as
 * no other process has stored a value of its own.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberMap from "effect/FiberMap"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type { Held } from "../../Held.ts"
import type { AcquireError, TryError } from "../../Lock.ts"
import type * as LockError from "../../LockError.ts"
import type { WaitSchedule } from "../../LockPolicy.ts"
import * as RefreshError from "../../RefreshError.ts"
import * as RefreshMetrics from "../../RefreshMetrics.ts"
import * as waitBudget from "../engine/waitBudget.ts"
import * as ClockReading from "../time/clockReading.ts"
import { quiet } from "../tracing.ts"
import { count, type Deps, log, storedValue } from "./deps.ts"
import { type Failure, rescueSchedule, writeAnswer } from "./writeAnswer.ts"

/** An answer that was not written under this lock, and why. */
export interface Unwritten<A> extends Failure {
  readonly id: string
  readonly held: Held
  readonly value: A
}

/**
 * What became of it: it was written after all; or another process has stored another value, which is never overwritten; or this process
 * has stored or seen a later one (`Outdated`); or this process keeps it.
 */
export type Settled<A> =
  | { readonly _tag: "Written" | "Outdated" | "Kept" }
  | { readonly _tag: "Superseded"; readonly stored: A; readonly error: RefreshError.NotWritten }

/** How often a process tries to write what it keeps. Our choice. */
export const rewriteInterval: Duration.Duration = Duration.seconds(10)

/** The same under a lock that it keeps, because no API server has answered: others may reach one at the same time. Our choice. */
export const rewriteIntervalUnderLock: Duration.Duration = Duration.seconds(1)

/**
 * Keeps the lock of an answer that could not be written because no API server was in reach: as soon as one is, a lock that was released
 * could be had by a process that spends the old value once more. Returns whether it is kept.
 */
export const keepLock = <A, E>(
  { holds }: Deps<A, E>,
  { held, id, isLost, reason }: Unwritten<A>,
  scope: Scope.Closeable
): boolean => {
  if (isLost || !isOutOfReach(reason)) return false
  holds.set(id, { held, scope, reason, attempt: undefined })
  return true
}

// A server that is about to start answers 401 and 404.
const isOutOfReach = (reason: Failure["reason"]): reason is LockError.StoreError =>
  reason._tag === "LockUnavailable" || reason._tag === "LockUnauthorized" || reason._tag === "LockNotFound"

const dropLock = <A, E>({ holds }: Deps<A, E>, id: string): Effect.Effect<void> =>
  Effect.suspend(() => {
    const hold = holds.get(id)
    holds.delete(id)
    return hold === undefined ? Effect.void : Scope.close(hold.scope, Exit.void)
  })

/**
 * Settles an answer that was not written. If the lock was lost, it waits for the lock for a while, in the queue: processes that wait for
 * the value take a free lock at once, and would spend again what is stored.
 */
export const settle = Effect.fnUntraced(function* <A, E>(
  deps: Deps<A, E>,
  { id, isLost, reason, value }: Unwritten<A>
): Effect.fn.Return<Settled<A>> {
  deps.knowledge.wrote(id, false)
  const { createIfMissing, lock } = deps
  const waiting = lock.scoped(id, { createIfMissing, waitSchedule: rescueSchedule })
  const outcome = isLost ? yield* repeat(deps, id, waiting, rescueSchedule) : { _tag: "Kept" as const }
  const object = deps.store.describe(id)
  switch (outcome._tag) {
    case "Written":
      yield* count("Written")
      return outcome
    case "Outdated": {
      // Or an earlier attempt in the background came first, and wrote it.
      const known = deps.knowledge.get(id)
      yield* count(known !== undefined && deps.isSame(known.newest, value) ? "Written" : "NotWritten")
      return outcome
    }
    case "Superseded": {
      const error = new RefreshError.NotWritten({ id, object, reason })
      yield* count("NotWritten")
      yield* log(id, "Error", error.message)
      return { ...outcome, error }
    }
    case "Kept":
      yield* count("NotWritten")
      yield* keep(deps, id, reason)
      return outcome
  }
})

// Goes on writing in the background.
const keep = Effect.fnUntraced(function* <A, E>(
  deps: Deps<A, E>,
  id: string,
  reason: Failure["reason"]
): Effect.fn.Return<void> {
  yield* log(
    id,
    "Error",
    `Could not write the new value of ${deps.store.describe(id)}. This process keeps it, and goes on trying to write it. If the process ends before, the value is lost. ${reason.message}`
  )
  const work = Effect.flatMap(rewrite(deps, id), (outcome) =>
    Effect.andThen(countUnwritten(deps), tell(deps, id, outcome))
  )
  yield* FiberMap.run(deps.rewrites, id, work, { onlyIfMissing: true })
})

/** Tries once more to write all that is kept, before the process ends. What is not written then is lost, and not counted any more. */
export const writeLast = <A, E>(deps: Deps<A, E>): Effect.Effect<void> =>
  Effect.forEach(
    deps.knowledge.unwritten(),
    (id) =>
      Effect.timeoutOrElse(attemptAside(deps, id), {
        duration: lastAttempt,
        orElse: () => Effect.succeed({ _tag: "Kept" as const })
      }).pipe(Effect.flatMap((outcome) => tell(deps, id, outcome))),
    { concurrency: "unbounded", discard: true }
  ).pipe(Effect.andThen(show(deps, () => 0)))

/** How long the last attempt waits for the API server. Our choice. */
export const lastAttempt: Duration.Duration = Duration.seconds(5)

const tell = <A, E>(deps: Deps<A, E>, id: string, outcome: Outcome<A>): Effect.Effect<void> => {
  const object = deps.store.describe(id)
  switch (outcome._tag) {
    case "Written":
      return log(id, "Info", `Wrote the new value of ${object}, which could not be written before.`)
    case "Outdated":
      return log(
        id,
        "Info",
        `The new value of ${object}, which could not be written, need not be written any more: there is a later one.`
      )
    case "Superseded":
      return log(
        id,
        "Warn",
        `Dropped the new value of ${object}, which could not be written: another process has stored another value.`
      )
    case "Kept":
      return log(id, "Error", `The new value of ${object} could not be written, and is lost, since this process ends.`)
  }
}

/** Counts in the gauge what is not written. */
export const countUnwritten = <A, E>(deps: Deps<A, E>): Effect.Effect<void> =>
  show(deps, () => deps.knowledge.unwritten().length)

const show = <A, E>({ counted }: Deps<A, E>, unwritten: () => number): Effect.Effect<void> =>
  Effect.suspend(() => {
    const total = unwritten()
    const change = total - counted.unwritten
    counted.unwritten = total
    return change === 0 ? Effect.void : quiet(Metric.modify(RefreshMetrics.unwritten, change))
  })

type Outcome<A> =
  | { readonly _tag: "Written" | "Outdated" | "Kept" }
  | { readonly _tag: "Superseded"; readonly stored: A }

type Acquire = Effect.Effect<Held, AcquireError | TryError, Scope.Scope>

const tryLock = <A, E>({ createIfMissing, lock }: Deps<A, E>, id: string): Acquire =>
  lock.tryScoped(id, { createIfMissing })

const rewrite = Effect.fnUntraced(function* <A, E>(deps: Deps<A, E>, id: string): Effect.fn.Return<Outcome<A>> {
  for (;;) {
    yield* Effect.sleep(deps.holds.has(id) ? rewriteIntervalUnderLock : rewriteInterval)
    const outcome = yield* deps.holds.has(id) ? attemptAside(deps, id) : attempt(deps, id, tryLock(deps, id))
    if (outcome._tag !== "Kept") return outcome
  }
})

// A write that is under way cannot be interrupted, but the wait for it can. Under a lock that is kept there is one at a time.
const attemptAside = Effect.fnUntraced(function* <A, E>(deps: Deps<A, E>, id: string): Effect.fn.Return<Outcome<A>> {
  const running = deps.holds.get(id)?.attempt
  if (running !== undefined) yield* Fiber.await(running)
  const hold = deps.holds.get(id)
  const acquire = hold === undefined ? tryLock(deps, id) : Effect.succeed(hold.held)
  const fiber = yield* Effect.forkDetach(attempt(deps, id, acquire))
  if (hold !== undefined) hold.attempt = fiber
  return yield* Fiber.join(fiber)
})

const repeat = Effect.fnUntraced(function* <A, E>(
  deps: Deps<A, E>,
  id: string,
  acquire: Acquire,
  schedule: WaitSchedule
): Effect.fn.Return<Outcome<A>> {
  const remaining = waitBudget.make(schedule, (yield* ClockReading.now).monotonic)
  for (;;) {
    const outcome = yield* attempt(deps, id, acquire)
    if (outcome._tag !== "Kept") return outcome
    const left = yield* remaining.left(outcome)
    if (Option.isNone(left)) return outcome
    yield* Effect.sleep(left.value)
  }
})

// A value that is missing is older than any. A failure of any kind leaves everything as it is, but a lock is kept only while no API server
// is in reach.
const attempt = <A, E>(deps: Deps<A, E>, id: string, acquire: Acquire): Effect.Effect<Outcome<A>> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const { isSame, knowledge, location } = deps
      const isOutdated = () => knowledge.get(id)?.isUnwritten !== true
      if (isOutdated()) return { _tag: "Outdated" as const }
      const held = yield* restore(acquire)
      const stored = yield* storedValue(deps, id, held.snapshot)
      const known = knowledge.get(id)
      if (known === undefined || isOutdated()) return { _tag: "Outdated" as const }
      if (Option.isSome(stored) && isSame(stored.value, known.newest)) {
        knowledge.wrote(id, true)
        return { _tag: "Written" as const }
      }
      if (Option.isSome(stored) && !knowledge.isSpent(id, stored.value)) {
        knowledge.read(id, stored.value, true)
        return { _tag: "Superseded" as const, stored: stored.value }
      }
      yield* Effect.tapError(writeAnswer(deps, held, (yield* location.encode(known.newest)).patch), (failure) =>
        failure.isLost || !isOutOfReach(failure.reason) ? dropLock(deps, id) : Effect.void
      )
      knowledge.wrote(id, true)
      return { _tag: "Written" as const }
    }).pipe(
      Effect.scoped,
      Effect.tap(() => dropLock(deps, id)),
      Effect.orElseSucceed(() => ({ _tag: "Kept" as const }))
    )
  )
