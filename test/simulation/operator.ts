/** An operator who takes a lock, or the permits of somebody in the line, away now and then, whoever has them. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Lock from "../../src/Lock.ts"
import { ObjectStore } from "../../src/ObjectStore.ts"
import * as Semaphore from "../../src/Semaphore.ts"
import * as SharedLock from "../../src/SharedLock.ts"
import * as dice from "./dice.ts"
import type { Surroundings } from "./network.ts"
import * as outsider from "./outsider.ts"
import type { Mutation } from "./mutations.ts"
import type { PermitsPlan } from "./plan.ts"
import { id } from "./server.ts"
import { namespace } from "./sessionsOn.ts"

/** Its name in the history. */
export const operator = "operator"

type At = (millis: number) => Effect.Effect<void>

/** Breaks permits at the times of the plan. */
export const run = Effect.fnUntraced(function* (
  surroundings: Surroundings,
  { breaks, limit }: PermitsPlan,
  at: At
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
  yield* eachAt(breaks, at, breakOne)
})

/** Breaks one of the locks at each of these times, as a mutation has it. */
export const breakLocks = Effect.fnUntraced(function* (
  surroundings: Surroundings,
  breaks: ReadonlyArray<number>,
  objects: ReadonlyArray<string>,
  at: At,
  mutate: NonNullable<Mutation["breaks"]>
): Effect.fn.Return<void, never, Scope.Scope> {
  const die = dice.make(surroundings.plan.seed, operator)
  const store = yield* outsider.storeOf(surroundings, operator, die)
  const seen = mutate({ ...store, sessionLeases: { namespace, leases: () => store } })
  const lock = yield* Effect.provideService(Lock.make(), ObjectStore, seen)
  yield* eachAt(
    breaks,
    at,
    Effect.suspend(() => lock.break(die.pick(objects)))
  )
})

const eachAt = Effect.fnUntraced(function* (
  times: ReadonlyArray<number>,
  at: At,
  act: Effect.Effect<unknown, unknown>
) {
  let now = 0
  for (const one of times) {
    yield* at(one - now)
    now = one
    yield* Effect.forkDetach(Effect.ignore(act))
  }
})
