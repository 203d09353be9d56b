/**
 * Writes a value under the lock, and releases the lock. An object that is gone is made again, with the lock on it.
 *
 * An API server may also report an object missing that is there. Then the lease is still on it, and keeps out all but its holder: this
 * process, under the lock that it seems to have lost.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Held } from "../../Held.ts"
import type * as LockError from "../../LockError.ts"
import type { FieldPatch } from "../../ObjectStore.ts"
import { patience } from "../engine/commit.ts"
import * as retries from "../engine/retries.ts"
import * as waitBudget from "../engine/waitBudget.ts"
import { type Deps, hasLease, makeAnew } from "./deps.ts"

/** How long a process goes on to write an answer after it has lost the lock. Our choice. */
export const rescueSchedule = retries.upTo(patience)

/** Why a value was not written. `isLost`: the object was seen without the lease, so another process may have stored a value. */
export interface Failure {
  readonly reason: LockError.Lost | LockError.StoreError
  readonly isLost: boolean
}

/** Goes on for a while if the lock seems lost. */
export const writeAnswer = Effect.fnUntraced(function* <A, E>(
  deps: Deps<A, E>,
  held: Held,
  patch: FieldPatch
): Effect.fn.Return<void, Failure> {
  const remaining = waitBudget.make(rescueSchedule)
  for (;;) {
    const written = yield* Effect.result(held.commitAndRelease([patch]))
    if (written._tag === "Success") return
    const reason = written.failure
    const mayBeGone = reason._tag === "LockLost" || (reason._tag === "LockNotFound" && reason.missing === "object")
    // A commit that got no answer does not say that the lock is lost: it may have been applied.
    if (!mayBeGone && reason._tag !== "LockUnavailable") return yield* Effect.fail({ reason, isLost: false })
    const isOurs = yield* Effect.option(findLease(deps, held))
    if (Option.contains(isOurs, false)) return yield* Effect.fail({ reason, isLost: true })
    if (!mayBeGone) return yield* Effect.fail({ reason, isLost: false })
    const left = yield* remaining.left(reason)
    if (Option.isNone(left)) return yield* Effect.fail({ reason, isLost: false })
    yield* Effect.sleep(left.value)
  }
})

// Whether the lease is on the object, which is made with it if it is missing.
const findLease = <A, E>(deps: Deps<A, E>, held: Held): Effect.Effect<boolean, LockError.StoreError> => {
  const { createIfMissing, store } = deps
  return store.read(held.id).pipe(
    Effect.map((snapshot) => hasLease(deps, held, snapshot)),
    Effect.catchIf(
      (error) => createIfMissing && error._tag === "LockNotFound" && error.missing === "object",
      () => Effect.as(makeAnew(deps, held), true)
    )
  )
}
