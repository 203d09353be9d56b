/** Giving a lock back: only what is ours, only while it is ours, and never as a failure of the work that it protected. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as LockError from "../LockError.ts"
import * as LockProtocol from "../LockProtocol.ts"
import * as LockRecord from "../LockRecord.ts"
import type { Content, ContentChange } from "../ObjectStore.ts"
import { tell } from "./telemetry.ts"
import type { Wish } from "./wish.ts"

/**
 * Releases a lease: one request where nothing went wrong. What cannot be released within 5 seconds is logged with the
 * time at which it frees itself.
 */
export const release = (wish: Wish, lease: LockRecord.Lease): Effect.Effect<void> =>
  removeLease(wish, lease).pipe(
    Effect.catchIf(isPassing, () => removeOurs(wish)),
    persistently,
    Effect.catch((problem) =>
      tell(
        wish,
        "Warn",
        `The lock "${wish.id}" on ${wish.store.describe(wish.id)} could not be released and frees itself at ${lease.expiry}: ${problem}`
      )
    )
  )

/**
 * Gives up a wish that may have been granted without our knowing: removes its lease if one is found.
 */
export const abandon = (wish: Wish): Effect.Effect<void> =>
  removeOurs(wish).pipe(
    persistently,
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
  content: ReadonlyArray<ContentChange>
): Effect.fn.Return<Exclude<LockProtocol.Fate, { readonly _tag: "Ours" }> | undefined, LockError.StoreError> {
  const { id, policy, store } = wish
  let current = lease
  let unanswered: LockError.Unavailable | undefined
  let isFinal = false
  const once = Effect.gen(function* () {
    const answer = yield* store
      .compareAndSwap(id, {
        expect: { annotations: LockRecord.toAnnotations(policy.key, current) },
        annotations: LockRecord.removal(policy.key),
        content
      })
      .pipe(Effect.tapErrorTag("LockUnavailable", (error) => Effect.sync(() => (unanswered = error))))
    if (Option.isNone(answer)) return yield* settle
    yield* wish.memory.remember(answer.value)
    return undefined
  })
  // Either an earlier write of ours was applied though its answer got lost, or a renewal, or the lock is another's.
  const settle = Effect.gen(function* () {
    const found = yield* store.read(id)
    const fate = LockProtocol.fate(LockRecord.fromAnnotations(policy.key, found.annotations), wish.holder)
    if (fate._tag !== "Ours") {
      if (content.every((change) => holds(found.content, change))) return undefined
      if (unanswered === undefined) return fate
      // A write of ours may have been applied, and another holder may have written over it since: nobody can tell.
      isFinal = true
      return yield* unanswered
    }
    if (fate.expiry === current.expiry) {
      return yield* new LockError.Rejected({
        object: store.describe(id),
        verb: "patch",
        status: 422,
        detail: "the lock is ours, and yet the write was refused: is a field missing on the way to what it sets"
      })
    }
    current = { holder: wish.holder, expiry: fate.expiry }
    return yield* new LockError.Unavailable({ object: store.describe(id), verb: "patch", detail: "the lease changed" })
  })
  return yield* Effect.retry(once, {
    while: (error) => error._tag === "LockUnavailable" && !isFinal,
    schedule: Schedule.min([Schedule.exponential("20 millis"), Schedule.spaced("1 second")]).pipe(
      Schedule.upTo({ duration: "30 seconds" })
    )
  })
})

const holds = (content: Content | undefined, { path, value }: ContentChange): boolean => {
  const found = path.reduce<unknown>((within, name) => (within as Record<string, unknown> | undefined)?.[name], content)
  return value === null ? found === undefined : Equal.equals(found, value)
}

type Problem = LockError.StoreError | "Changed"

const isPassing = (problem: Problem): boolean => problem === "Changed" || problem._tag === "LockUnavailable"

// The condition: this very lease still stands.
const removeLease = (wish: Wish, lease: LockRecord.Lease): Effect.Effect<void, Problem> =>
  wish.store
    .compareAndSwap(wish.id, {
      expect: { annotations: LockRecord.toAnnotations(wish.policy.key, lease) },
      annotations: LockRecord.removal(wish.policy.key)
    })
    .pipe(
      Effect.flatMap(
        Option.match({
          onNone: () => Effect.fail("Changed" as const),
          onSome: (metadata) => wish.memory.remember(metadata)
        })
      )
    )

// Reads first: the lease that stands may be ours with another expiry, by a renewal whose answer got lost.
const removeOurs = (wish: Wish): Effect.Effect<void, Problem> =>
  Effect.flatMap(wish.store.read(wish.id), ({ annotations }) => {
    const fate = LockProtocol.fate(LockRecord.fromAnnotations(wish.policy.key, annotations), wish.holder)
    return fate._tag === "Ours" ? removeLease(wish, { holder: wish.holder, expiry: fate.expiry }) : Effect.void
  })

const persistently = (removal: Effect.Effect<void, Problem>): Effect.Effect<void, string> =>
  removal.pipe(
    Effect.catchTag("LockNotFound", () => Effect.void),
    Effect.retry({
      while: isPassing,
      schedule: Schedule.min([Schedule.exponential("20 millis"), Schedule.spaced("250 millis")]).pipe(Schedule.jittered)
    }),
    Effect.mapError((problem) => (problem === "Changed" ? "it kept changing" : problem.message)),
    Effect.timeoutOrElse({ duration: patience, orElse: () => Effect.fail("no answer in time") })
  )

const patience = "5 seconds"
