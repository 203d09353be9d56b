/** Running an effect under something that is held, and can be lost. */
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import type { Held } from "../Held.ts"
import type { Lost } from "../LockError.ts"

/** What is held: a lock, or permits. */
type Guard = Pick<Held, "guard">

/** An effect, or a function that makes it from what is held. */
export type Guarded<A, E, R, H> = Effect.Effect<A, E, R> | ((held: H) => Effect.Effect<A, E, R>)

/** Runs an effect under what is acquired, and interrupts it if that is lost. */
export const guardedBy = <A, E, R, E2, R2, H extends Guard>(
  acquire: Effect.Effect<H, E2, R2 | Scope.Scope>,
  use: Guarded<A, E, R, H>
): Effect.Effect<A, E | E2 | Lost, R | Exclude<R2, Scope.Scope>> =>
  Effect.scopedWith((scope) =>
    Effect.flatMap(Scope.provide(acquire, scope), (held) =>
      held.guard(Effect.isEffect(use) ? use : Effect.suspend(() => use(held)))
    )
  )
