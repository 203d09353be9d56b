/** Giving a lock back: only what is ours, only while it is ours, and never as a failure of the work that it protected. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as LockError from "../LockError.ts"
import * as LockProtocol from "../LockProtocol.ts"
import * as LockRecord from "../LockRecord.ts"
import type { Wish } from "./acquire.ts"
import { tell } from "./telemetry.ts"

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

type Problem = LockError.StoreError | "Changed"

const isPassing = (problem: Problem): boolean => problem === "Changed" || problem._tag === "LockUnavailable"

// The condition: this very lease still stands.
const removeLease = (wish: Wish, lease: LockRecord.Lease): Effect.Effect<void, Problem> =>
  wish.store
    .compareAndSwap(wish.id, {
      expect: { annotations: LockRecord.toAnnotations(wish.policy.key, lease) },
      annotations: LockRecord.removal(wish.policy.key)
    })
    .pipe(Effect.flatMap(Option.match({ onNone: () => Effect.fail("Changed" as const), onSome: () => Effect.void })))

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
      schedule: Schedule.exponential("20 millis").pipe(Schedule.jittered)
    }),
    Effect.mapError((problem) => (problem === "Changed" ? "it kept changing" : problem.message)),
    Effect.timeoutOrElse({ duration: patience, orElse: () => Effect.fail("no answer in time") })
  )

const patience = "5 seconds"
