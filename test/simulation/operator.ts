/** An operator who takes the permits of somebody in the line away now and then, whoever that is. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { ObjectStore } from "../../src/ObjectStore.ts"
import * as Semaphore from "../../src/Semaphore.ts"
import * as SharedLock from "../../src/SharedLock.ts"
import * as dice from "./dice.ts"
import type { Surroundings } from "./network.ts"
import * as outsider from "./outsider.ts"
import type { PermitsPlan } from "./plan.ts"
import { id } from "./server.ts"

/** Its name in the history. */
export const operator = "operator"

/** Breaks permits at the times of the plan. */
export const run = Effect.fnUntraced(function* (
  surroundings: Surroundings,
  { breaks, limit }: PermitsPlan,
  at: (millis: number) => Effect.Effect<void>
): Effect.fn.Return<void, never, Scope.Scope> {
  const die = dice.make(surroundings.plan.seed, operator)
  const store = yield* outsider.storeOf(surroundings, operator, die)
  const onStore = <A>(make: Effect.Effect<A, never, ObjectStore | Scope.Scope>) =>
    Effect.provideService(make, ObjectStore, store)
  const service = limit === undefined ? yield* onStore(SharedLock.make()) : yield* onStore(Semaphore.make())
  const breakOne = Effect.gen(function* () {
    const { holders, waiters } = yield* service.inspect(id)
    const inLine: ReadonlyArray<{ readonly holder: string }> = [...holders, ...waiters]
    if (inLine.length > 0) yield* service.break(id, die.pick(inLine).holder)
  })
  let now = 0
  for (const one of breaks) {
    yield* at(one - now)
    now = one
    yield* Effect.forkDetach(Effect.ignore(breakOne))
  }
})
