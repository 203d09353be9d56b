/** What one contender has in hand of a lock that its process holds: until its own scope closes, and no longer. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Held } from "../../Held.ts"
import type { Contender } from "./contender.ts"
import type { Holding } from "./localQueue.ts"
import { holding } from "./telemetry.ts"

/** Takes the lock for a contender. When its scope closes the contender has left the lock, and `leave` runs. */
export const take = Effect.fnUntraced(function* (
  contender: Contender,
  held: Holding,
  leave: Effect.Effect<void>
): Effect.fn.Return<Held, never, Scope.Scope> {
  const { lease } = held
  const ended = yield* holding(contender, held)
  let hasLeft = false
  yield* Effect.addFinalizer((exit) => {
    hasLeft = true
    ended(exit)
    return leave
  })
  const check = Effect.suspend(() => (hasLeft ? Effect.fail(lease.released()) : lease.check))
  return {
    id: contender.id,
    holderId: lease.contender.holderId,
    fencingToken: held.fencingToken,
    isValid: Effect.sync(() => !hasLeft && lease.isValid()),
    lost: lease.lost,
    snapshot: lease.grant.snapshot,
    commitAndRelease: (content) =>
      Effect.suspend(() => (hasLeft ? Effect.fail(lease.released()) : lease.commitAndRelease(content))),
    guard: (effect) => check.pipe(Effect.andThen(Effect.raceFirst(effect, lease.lost)), Effect.tap(check))
  }
})
