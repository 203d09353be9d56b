/** A fiber that acquires a lock and holds it until `letGo`. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import type { Held } from "../../src/Held.ts"
import type * as Lock from "../../src/Lock.ts"

/** One contender. `held` waits until it holds the lock. `has` says whether it has acquired it yet. */
export interface Contender {
  readonly fiber: Fiber.Fiber<Held, Lock.AcquireError>
  readonly held: Effect.Effect<Held, Lock.AcquireError>
  readonly has: Effect.Effect<boolean>
  readonly letGo: Effect.Effect<void>
}

/** Begins to acquire the lock `id`. */
export const contend = (lock: Lock.Lock["Service"], id: string, options?: Lock.AcquireOptions) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const fiber = yield* lock
      .scoped(id, options)
      .pipe(Scope.provide(scope), Effect.forkChild({ startImmediately: true }))
    const contender: Contender = {
      fiber,
      held: Fiber.join(fiber),
      has: Effect.sync(() => {
        const exit = fiber.pollUnsafe()
        return exit !== undefined && Exit.isSuccess(exit)
      }),
      letGo: Scope.close(scope, Exit.void)
    }
    return contender
  })
