/** What to do about an API server that is busy. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as LockError from "../LockError.ts"

/**
 * Does something again if the API server answers that it is busy, and when to come back (429). kubectl does so, too. An acquisition has
 * its own way: the wait for the lock goes on.
 */
export const patiently = <A, E extends LockError.StoreError | LockError.Conflict, R>(
  attempt: Effect.Effect<A, E, R>,
  left: Duration.Duration = patience
): Effect.Effect<A, E, R> =>
  Effect.catch(attempt, (error) => {
    if (error._tag !== "LockUnavailable" || error.retryAfter === undefined) return Effect.fail(error)
    const pause = Duration.max(error.retryAfter, atLeast)
    return Duration.isGreaterThan(pause, left)
      ? Effect.fail(error)
      : Effect.andThen(Effect.sleep(pause), patiently(attempt, Duration.subtract(left, pause)))
  })

/** For how long a busy server is asked again. Our choice. */
const patience = Duration.seconds(20)

/** The least pause, so that a server that asks for none is not asked without end. Our choice. */
const atLeast = Duration.seconds(1)
