/** From wanting a lock to having it: attempts, and the wait between them. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"
import * as LockError from "../LockError.ts"
import * as LockMetrics from "../LockMetrics.ts"
import type { LockPolicy } from "../LockPolicy.ts"
import * as LockProtocol from "../LockProtocol.ts"
import * as LockRecord from "../LockRecord.ts"
import type { Metadata } from "../ObjectStore.ts"
import * as stopwatch from "./stopwatch.ts"
import { measure, span } from "./telemetry.ts"
import { pauseBefore } from "./tenure.ts"
import type { Grant, Wish } from "./wish.ts"

/** What came of an attempt. */
export type Attempt =
  | { readonly _tag: "Granted"; readonly grant: Grant }
  | ({ readonly _tag: "Held" } & LockProtocol.Seen)
  | { readonly _tag: "RaceLost" }
  | { readonly _tag: "Unavailable"; readonly error: LockError.Unavailable }

/** What ends an attempt for good. */
export type PermanentError = LockError.Malformed | Exclude<LockError.StoreError, LockError.Unavailable>

/** Tries once. A write whose answer got lost is followed up at once, so that nobody waits out a lock of their own. */
export const attempt = Effect.fnUntraced(function* (wish: Wish): Effect.fn.Return<Attempt, PermanentError> {
  wish.attempts++
  const first = yield* firstLook(wish)
  const outcome = first._tag === "Unavailable" && wish.mayHold ? yield* attemptCold(wish) : first
  if (outcome._tag === "Held" || outcome._tag === "RaceLost") {
    wish.contended = true
    yield* measure(wish, LockMetrics.conflicts, 1)
  }
  return outcome
})

/** Tries until it succeeds, or until the policy's schedule ends. Leaves others their gap first, where it is time. */
export const acquire = Effect.fnUntraced(function* (
  wish: Wish
): Effect.fn.Return<Grant, PermanentError | LockError.Timeout | LockError.Unavailable> {
  const pause = pauseBefore(wish.memory.recall(), yield* stopwatch.now)
  if (pause > 0) yield* Effect.sleep(Duration.millis(pause))
  const outcome = yield* attempt(wish)
  return outcome._tag === "Granted" ? outcome.grant : yield* span("wait", wish)(poll(wish, outcome))
})

const poll = Effect.fnUntraced(function* (
  wish: Wish,
  first: Exclude<Attempt, { readonly _tag: "Granted" }>
): Effect.fn.Return<Grant, PermanentError | LockError.Timeout | LockError.Unavailable> {
  for (let outcome: Attempt = first; ; outcome = yield* attempt(wish)) {
    if (outcome._tag === "Granted") return outcome.grant
    const delay = yield* wish.nextDelay(outcome)
    if (Option.isNone(delay)) {
      return yield* outcome._tag === "Unavailable" ? outcome.error : timeout(wish, seen(outcome))
    }
    const retryAfter = outcome._tag === "Unavailable" ? outcome.error.retryAfter : undefined
    yield* Effect.sleep(retryAfter === undefined ? delay.value : Duration.max(delay.value, retryAfter))
  }
})

/** Steps a polling schedule, which begins with the first delay asked for. */
export const makeNextDelay = (polling: LockPolicy["polling"]): Wish["nextDelay"] => {
  let next: Effect.Success<ReturnType<typeof Schedule.toStep<unknown, unknown, never, never>>> | undefined
  return Effect.fnUntraced(function* (seen: unknown) {
    next ??= yield* Schedule.toStep(polling)
    return yield* next((yield* stopwatch.now).monotonic, seen).pipe(
      Effect.map(([, delay]) => Option.some(delay)),
      Pull.catchDone(() => Effect.succeedNone)
    )
  })
}

/** The end of a wait. */
export const timeout = (wish: Wish, seen: Partial<LockProtocol.Seen>): Effect.Effect<never, LockError.Timeout> =>
  Effect.flatMap(stopwatch.now, (now) =>
    Effect.fail(
      new LockError.Timeout({
        id: wish.id,
        object: wish.store.describe(wish.id),
        attempts: wish.attempts,
        waited: Duration.millis(Math.round(stopwatch.between(wish.began, now).most)),
        ...seen
      })
    )
  )

/** Who was seen to hold the lock, and until when, in the form that errors carry. */
export const seen = (outcome: Attempt): Partial<LockProtocol.Seen> => {
  if (outcome._tag !== "Held") return {}
  const { _tag, ...seen } = outcome
  return seen
}

// One request where nothing changed since the caller read the object, or since this process released the lock.
const firstLook = (wish: Wish): Effect.Effect<Attempt, PermanentError> => {
  if (wish.attempts === 1 && wish.seen !== undefined) return attemptOn(wish, wish.seen)
  const known = wish.memory.recall()?.resourceVersion
  return known === undefined ? attemptCold(wish) : attemptWarm(wish, known)
}

// Memory that is long past makes for expiries too far ahead: then ask first.
const attemptWarm = Effect.fnUntraced(function* (wish: Wish, known: string) {
  const { earliest, latest } = yield* wish.store.now
  if (latest - earliest > Duration.toMillis(wish.policy.ttl)) return yield* attemptCold(wish)
  return yield* attemptOn(wish, { resourceVersion: known, annotations: {} })
})

const attemptOn = (
  wish: Wish,
  metadata: Pick<Metadata, "resourceVersion" | "annotations">
): Effect.Effect<Attempt, PermanentError> =>
  contend(wish, metadata).pipe(
    Effect.catchTag("LockNotFound", () => Effect.succeed<Attempt>({ _tag: "RaceLost" })),
    Effect.flatMap((outcome) => {
      if (outcome._tag !== "RaceLost") return Effect.succeed(outcome)
      wish.contended = true
      wish.memory.forget()
      return attemptCold(wish)
    })
  )

const attemptCold = (wish: Wish): Effect.Effect<Attempt, PermanentError> =>
  Effect.matchEffect(wish.store.read(wish.id), {
    onSuccess: (metadata) => contend(wish, metadata),
    onFailure: (error) => {
      switch (error._tag) {
        case "LockUnavailable":
          return Effect.succeed<Attempt>({ _tag: "Unavailable", error })
        case "LockNotFound":
          return wish.createIfMissing && error.missing === "object" ? create(wish) : Effect.fail(error)
        default:
          return Effect.fail(error)
      }
    }
  })

const contend = Effect.fnUntraced(function* (
  wish: Wish,
  metadata: Pick<Metadata, "resourceVersion" | "annotations">
): Effect.fn.Return<Attempt, PermanentError> {
  const { policy, store } = wish
  const record = LockRecord.fromAnnotations(policy.key, metadata.annotations)
  const started = yield* stopwatch.now
  const decision = LockProtocol.decide(record, yield* store.now, contenderOf(wish))
  switch (decision._tag) {
    case "Acquire":
      return yield* write(
        wish,
        { lease: decision.lease, started, broken: decision.broken },
        store.compareAndSwap(wish.id, {
          expect: { resourceVersion: metadata.resourceVersion },
          annotations: LockRecord.toAnnotations(policy.key, decision.lease)
        })
      )
    case "Wait":
      return { ...decision, _tag: "Held" } as const
    case "Malformed":
      return yield* new LockError.Malformed({
        id: wish.id,
        object: store.describe(wish.id),
        key: policy.key,
        value: decision.value
      })
  }
})

const create = Effect.fnUntraced(function* (wish: Wish) {
  const { policy, store } = wish
  const started = yield* stopwatch.now
  const lease = LockProtocol.nextLease(yield* store.now, contenderOf(wish))
  return yield* write(
    wish,
    { lease, started, broken: undefined },
    store.create(wish.id, LockRecord.toAnnotations(policy.key, lease))
  )
})

const write = Effect.fnUntraced(function* (
  wish: Wish,
  wanted: Omit<Grant, "metadata">,
  send: Effect.Effect<Option.Option<Metadata>, LockError.StoreError>
): Effect.fn.Return<Attempt, PermanentError> {
  const before = wish.mayHold
  wish.mayHold = true
  const answer = yield* Effect.result(send)
  if (answer._tag === "Failure") {
    if (answer.failure._tag === "LockUnavailable") return { _tag: "Unavailable", error: answer.failure }
    wish.mayHold = before
    return yield* answer.failure
  }
  if (Option.isSome(answer.success)) {
    return { _tag: "Granted", grant: { ...wanted, metadata: answer.success.value } }
  }
  wish.mayHold = before
  return { _tag: "RaceLost" }
})

const contenderOf = (wish: Wish): LockProtocol.Contender => ({
  holder: wish.holder,
  ttl: Duration.toMillis(wish.policy.ttl)
})
