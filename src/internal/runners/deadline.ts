/**
 * Operations with a deadline that holds whatever they do.
 *
 * `Effect.timeout` waits for the interrupted effect to end, and a part that cannot be interrupted may hang. So the operation runs in a
 * fiber of its own, and what is left of it at the deadline ends in the layer's scope. (As in `SqlRunnerStorage` of Effect.)
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { Unavailable } from "../../LockError.ts"

/** Makes the function that gives operations a deadline. `object` and `verb` are for the error. */
export const make =
  (scope: Scope.Scope, deadline: Duration.Duration, object: string) =>
  <A, E, R>(verb: string, operation: Effect.Effect<A, E, R>): Effect.Effect<A, E | Unavailable, R> =>
    Effect.flatMap(Effect.forkIn(operation, scope, { startImmediately: true }), (fiber) =>
      Fiber.join(fiber).pipe(
        Effect.timeoutOrElse({
          duration: deadline,
          orElse: () =>
            Effect.fail(new Unavailable({ object, verb, detail: `no answer within ${Duration.format(deadline)}` }))
        }),
        Effect.ensuring(
          Effect.suspend(() =>
            fiber.pollUnsafe() === undefined
              ? Effect.asVoid(Effect.forkIn(Fiber.interrupt(fiber), scope, { startImmediately: true }))
              : Effect.void
          )
        )
      )
    )
