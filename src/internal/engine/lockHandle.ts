/** What one contender can do with a lock that its process holds, until the scope of the contender closes. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { Handle } from "../../Handle.ts"
import type { Held } from "../../Held.ts"
import type { Lost } from "../../LockError.ts"
import * as LockPolicy from "../../LockPolicy.ts"
import type { Contender } from "./contender.ts"
import type { Holding } from "./holding.ts"
import { holdBegun, holdEnded } from "./telemetry.ts"

/** Takes the lock for a contender. When its scope closes the contender has left the lock, by `leave`. */
export const take = Effect.fnUntraced(function* (
  contender: Contender,
  held: Holding,
  leave: (contender: Contender, held: Holding) => Effect.Effect<void>
): Effect.fn.Return<Held, never, Scope.Scope> {
  const { lease } = held
  const observed = yield* holdBegun(contender, held)
  let hasLeft = false
  yield* Effect.addFinalizer((exit) => {
    hasLeft = true
    holdEnded(observed, exit)
    return leave(contender, held)
  })
  const unlessLeft = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E | Lost> =>
    Effect.suspend((): Effect.Effect<A, E | Lost> => (hasLeft ? Effect.fail(lease.released()) : effect))
  return {
    id: contender.id,
    holderId: lease.contender.holderId,
    fencingToken: held.fencingToken,
    isValid: Effect.sync(() => !hasLeft && lease.isValid()),
    lost: lease.lost,
    snapshot: lease.grant.snapshot,
    commitAndRelease: (content, annotations) => unlessLeft(lease.commitAndRelease(content, annotations)),
    give: (ttl) =>
      unlessLeft(
        Effect.suspend(() => lease.give(ttl === undefined ? undefined : Duration.toMillis(LockPolicy.fixedTtl(ttl))))
      ).pipe(
        Effect.map(
          ({ expiry, holderId }) => new Handle({ id: contender.id, holderId, fencingToken: held.fencingToken, expiry })
        )
      ),
    guard: (effect) =>
      unlessLeft(lease.check).pipe(
        Effect.andThen(Effect.raceFirst(effect, lease.lost)),
        Effect.tap(unlessLeft(lease.confirm))
      )
  }
})
