/** Acquiring several things, all of them or none, in the same order in all processes. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { Held } from "../Held.ts"
import type { Lost } from "../LockError.ts"

/** One thing to acquire. `order` says when: smaller ones come first. */
export interface Part<H, E, R> {
  readonly order: string
  readonly acquire: Effect.Effect<H, E, R | Scope.Scope>
}

/**
 * Acquires the parts one after the other, and holds them until the scope closes. If one is lost while it waits for another, it fails
 * with `LockLost`. The answer has them by their `order`.
 */
export const acquireAll = <H extends Pick<Held, "guard">, E, R>(
  parts: ReadonlyArray<Part<H, E, R>>
): Effect.Effect<ReadonlyMap<string, H>, E | Lost, R | Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const scope = yield* Scope.fork(yield* Effect.scope)
      const helds = new Map<string, H>()
      const guarded = <A, E2, R2>(effect: Effect.Effect<A, E2, R2>): Effect.Effect<A, E2 | Lost, R2> =>
        [...helds.values()].reduce<Effect.Effect<A, E2 | Lost, R2>>((inner, held) => held.guard(inner), effect)
      yield* Effect.forEach(
        parts.toSorted((a, b) => (a.order < b.order ? -1 : 1)),
        ({ acquire, order }) =>
          Effect.map(
            Effect.suspend(() => guarded(Scope.provide(acquire, scope))),
            (held) => helds.set(order, held)
          )
      ).pipe(
        Effect.andThen(Effect.suspend(() => guarded(Effect.void))),
        restore,
        Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
      )
      return helds
    })
  )
