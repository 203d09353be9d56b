/** One try for a lock: what is known of the object, what follows from it, and the write for that. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as LockError from "../../LockError.ts"
import * as LockMetrics from "../../LockMetrics.ts"
import * as LockProtocol from "../../LockProtocol.ts"
import * as LockQueue from "../../LockQueue.ts"
import * as LockRecord from "../../LockRecord.ts"
import type { ObjectSnapshot } from "../../ObjectStore.ts"
import * as ClockReading from "../time/clockReading.ts"
import { measure } from "./telemetry.ts"
import type { Grant, Wish } from "./wish.ts"

/** What came of an attempt. */
export type Attempt =
  | { readonly _tag: "Granted"; readonly grant: Grant }
  | ({ readonly _tag: "Held" } & LockProtocol.WaitState)
  | { readonly _tag: "RaceLost" }
  | { readonly _tag: "Unavailable"; readonly error: LockError.Unavailable }

/** What ends an attempt for good. */
export type PermanentError = LockError.Malformed | Exclude<LockError.StoreError, LockError.Unavailable>

/** Tries once. A write whose answer got lost is followed up at once, so that nobody waits out a lock of their own. */
export const attempt = (wish: Wish): Effect.Effect<Attempt, PermanentError> => attemptBy(wish, firstLook(wish))

/** Tries once, as was decided at a moment by what a watch told. That tells no content: where it is wanted the object is read. */
export const attemptAsTold = (
  wish: Wish,
  metadata: ObjectSnapshot,
  started: ClockReading.ClockReading,
  decision: LockProtocol.Decision
): Effect.Effect<Attempt, PermanentError> =>
  wish.store.includesContent && metadata.content === undefined
    ? attempt(wish)
    : attemptBy(wish, orAfresh(wish, follow(wish, metadata, started, decision)))

const attemptBy = Effect.fnUntraced(function* (
  wish: Wish,
  look: Effect.Effect<Attempt, PermanentError>
): Effect.fn.Return<Attempt, PermanentError> {
  wish.attempts++
  const first = yield* look
  const outcome = first._tag === "Unavailable" && wish.mayHold ? yield* attemptCold(wish) : first
  if (outcome._tag === "Held" || outcome._tag === "RaceLost") {
    wish.contended = true
    yield* measure(wish, LockMetrics.conflicts, 1)
  }
  return outcome
})

/** Who was seen to hold the lock, and until when, in the form that errors carry. */
export const seen = (outcome: Attempt): Partial<LockProtocol.HolderInfo> =>
  outcome._tag === "Held" ? outcome.seen : {}

// One request where nothing changed since the object was read, or since this process released the lock.
const firstLook = (wish: Wish): Effect.Effect<Attempt, PermanentError> => {
  const { seen } = wish
  if (seen !== undefined) {
    wish.seen = undefined
    wish.found ??= seen.resourceVersion
    return attemptOn(wish, seen)
  }
  const known = wish.memory.recall()?.resourceVersion
  return known === undefined ? attemptCold(wish) : attemptWarm(wish, known)
}

// Memory that is long past makes for expiries too far ahead: then ask first.
const attemptWarm = Effect.fnUntraced(function* (wish: Wish, known: string) {
  const { earliest, latest } = yield* wish.store.now
  if (latest - earliest > Duration.toMillis(wish.policy.ttl)) return yield* attemptCold(wish)
  return yield* attemptOn(wish, { uid: "", resourceVersion: known, annotations: {}, labels: {} })
})

const attemptOn = (wish: Wish, metadata: ObjectSnapshot): Effect.Effect<Attempt, PermanentError> =>
  orAfresh(wish, contend(wish, metadata))

// By a look at the object as it is, where what was known of it is no longer so.
const orAfresh = (
  wish: Wish,
  outcome: Effect.Effect<Attempt, PermanentError>
): Effect.Effect<Attempt, PermanentError> =>
  outcome.pipe(
    Effect.catchTag("LockNotFound", () => Effect.succeed<Attempt>({ _tag: "RaceLost" })),
    Effect.flatMap((outcome) => {
      if (outcome._tag !== "RaceLost") return Effect.succeed(outcome)
      wish.contended = true
      wish.memory.forget()
      return attemptCold(wish)
    })
  )

const attemptCold = (wish: Wish): Effect.Effect<Attempt, PermanentError> =>
  Effect.matchEffect(timed(wish, wish.store.read(wish.id)), {
    onSuccess: (metadata) => {
      wish.found ??= metadata.resourceVersion
      return contend(wish, metadata)
    },
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

/** Decides by the metadata, as of now. */
export const decide = (
  wish: Wish,
  { annotations }: ObjectSnapshot,
  leavesGap: boolean
): Effect.Effect<LockProtocol.Decision> =>
  Effect.map(wish.store.now, (now) => {
    const { annotation: key } = wish.policy
    const record = LockRecord.fromAnnotations(key, annotations)
    return LockProtocol.decide(record, LockQueue.fromAnnotations(key, annotations), now, {
      ...contenderOf(wish),
      yields: leavesGap && !wish.leftGap
    })
  })

/** Decides by the metadata, and does so: for who has just written to the object, or read it. */
export const contend = Effect.fnUntraced(function* (
  wish: Wish,
  metadata: ObjectSnapshot
): Effect.fn.Return<Attempt, PermanentError> {
  wish.known = metadata.resourceVersion
  const started = yield* ClockReading.now
  return yield* follow(wish, metadata, started, yield* decide(wish, metadata, wish.besideDex))
})

// Does what was decided by the metadata, at a moment.
const follow = (
  wish: Wish,
  metadata: ObjectSnapshot,
  started: ClockReading.ClockReading,
  decision: LockProtocol.Decision
): Effect.Effect<Attempt, PermanentError> => {
  const { policy, store } = wish
  switch (decision._tag) {
    case "Acquire":
      return write(
        wish,
        { lease: decision.lease, started, lasts: Duration.toMillis(policy.ttl), broken: decision.tookOverFrom },
        store.compareAndSwap(wish.id, {
          expect: { resourceVersion: metadata.resourceVersion },
          annotations: { ...LockRecord.toAnnotations(policy.annotation, decision.lease), ...decision.queue }
        })
      )
    case "Claim": {
      const { validFor: lasts, lease } = decision
      return Effect.succeed({ _tag: "Granted", grant: { lease, started, lasts, broken: undefined, metadata } })
    }
    case "Wait":
      return Effect.succeed(standing(wish, decision))
    case "Malformed":
      return Effect.fail(
        new LockError.Malformed({
          id: wish.id,
          object: store.describe(wish.id),
          key: policy.annotation,
          value: decision.value
        })
      )
  }
}

/** Where a wish stands, as what came of an attempt. */
export const standing = (wish: Wish, standing: LockProtocol.WaitState): Attempt => {
  wish.leftGap = standing.seen.expiry === undefined
  return { ...standing, _tag: "Held" }
}

const create = Effect.fnUntraced(function* (wish: Wish) {
  const { policy, store } = wish
  const started = yield* ClockReading.now
  const lease = LockProtocol.nextLease(yield* store.now, contenderOf(wish))
  return yield* write(
    wish,
    { lease, started, lasts: Duration.toMillis(policy.ttl), broken: undefined },
    store.create(wish.id, LockRecord.toAnnotations(policy.annotation, lease))
  )
})

const write = Effect.fnUntraced(function* (
  wish: Wish,
  wanted: Omit<Grant, "metadata">,
  send: Effect.Effect<Option.Option<ObjectSnapshot>, LockError.StoreError>
): Effect.fn.Return<Attempt, PermanentError> {
  const before = wish.mayHold
  wish.mayHold = true
  const answer = yield* sending(wish, send)
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

/** Sends a write; for as long the wish says that one is under way. */
export const sending = Effect.fnUntraced(function* <A, E>(wish: Wish, write: Effect.Effect<A, E>) {
  wish.isWriting = true
  const answer = yield* Effect.result(timed(wish, write))
  wish.isWriting = false
  return answer
})

const timed = <A, E>(wish: Wish, request: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.flatMap(ClockReading.now, (sent) =>
    Effect.onExitPrimitive(request, () =>
      Effect.map(ClockReading.now, (now) => {
        wish.took = ClockReading.elapsed(sent, now).max
      })
    )
  )

const contenderOf = ({ holder, policy }: Wish): Omit<LockProtocol.Contender, "yields"> => ({
  key: policy.annotation,
  holderId: holder,
  ttl: Duration.toMillis(policy.ttl),
  renews: policy.renewEvery !== false
})
