/** What a contender has in hand of a lock that its process holds: until its own scope closes, and not longer. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Held } from "../../Held.ts"
import { fencingToken, type Turn } from "./turn.ts"
import { holding } from "./telemetry.ts"
import type { Wish } from "./wish.ts"

/** Takes the lock for one contender. When its scope closes it has left, whatever it does then, and `leave` is run. */
export const take = Effect.fnUntraced(function* (
  wish: Wish,
  turn: Turn,
  leave: Effect.Effect<void>
): Effect.fn.Return<Held, never, Scope.Scope> {
  const ended = yield* holding(wish, turn)
  let left = false
  yield* Effect.addFinalizer((exit) => {
    left = true
    ended(exit)
    return leave
  })
  const check = Effect.suspend(() => (left ? Effect.fail(turn.released()) : turn.check))
  return {
    id: wish.id,
    holderId: turn.wish.holder,
    fencingToken: fencingToken(turn),
    isValid: Effect.sync(() => !left && turn.isValid()),
    lost: turn.lost,
    snapshot: turn.grant.metadata,
    commitAndRelease: (content) => Effect.suspend(() => (left ? Effect.fail(turn.released()) : turn.commit(content))),
    guard: (effect) => check.pipe(Effect.andThen(Effect.raceFirst(effect, turn.lost)), Effect.tap(check))
  }
})
