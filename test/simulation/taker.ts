/** A process that uses a semaphore or a shared lock: its fibers take permits, work with them, give them back, and do so again. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Permit } from "../../src/Held.ts"
import type * as Lock from "../../src/Lock.ts"
import type * as LockError from "../../src/LockError.ts"
import * as LockPolicy from "../../src/LockPolicy.ts"
import { ObjectStore } from "../../src/ObjectStore.ts"
import * as Semaphore from "../../src/Semaphore.ts"
import * as SharedLock from "../../src/SharedLock.ts"
import type { Dice } from "./dice.ts"
import { type Happening, plainly } from "./history.ts"
import type { Options as HolderOptions } from "./holder.ts"
import { all } from "./lineOn.ts"
import type { HolderPlan, PermitsPlan } from "./plan.ts"
import { id } from "./server.ts"
import { follow, hurried, rounds, wishFor, work } from "./wishing.ts"

/** What a taker needs of its world. */
export interface Options extends Omit<HolderOptions, "objects" | "writeFencedOn"> {
  readonly permits: PermitsPlan
}

// What a fiber has. A semaphore's permits can neither be downgraded nor upgraded.
interface Having {
  readonly held: Omit<Permit, "permits">
  readonly downgrade?: Effect.Effect<void, LockError.Lost>
  readonly tryUpgrade?: SharedLock.Shared["tryUpgrade"]
}

// How permits are taken: so many, waiting or not.
interface Source {
  readonly draw: (dice: Dice) => number
  readonly take: (
    amount: number,
    waits: boolean,
    options: Lock.AcquireOptions
  ) => Effect.Effect<Having, Lock.AcquireError | Lock.TryError, Scope.Scope>
}

/** The options of a process's layer. */
const layerOf = (plan: HolderPlan) => ({
  identity: plan.name,
  policy: LockPolicy.make({
    ttl: plan.ttl,
    renewEvery: plan.renews ? undefined : false,
    waitSchedule: LockPolicy.fixedPolls(plan.interval, plan.polls)
  })
})

const either = <A>(
  waits: boolean,
  waiting: Effect.Effect<A, Lock.AcquireError, Scope.Scope>,
  trying: Effect.Effect<A, Lock.TryError, Scope.Scope>
): Effect.Effect<A, Lock.AcquireError | Lock.TryError, Scope.Scope> => (waits ? waiting : trying)

const semaphore = Effect.fnUntraced(function* (plan: HolderPlan, { limit, most }: PermitsPlan & { limit: number }) {
  const service = yield* Semaphore.make(layerOf(plan))
  const source: Source = {
    draw: (dice) => dice.between(1, most),
    take: (permits, waits, options) =>
      Effect.map(
        either(
          waits,
          service.take(id, { ...options, limit, permits }),
          service.takeIfAvailable(id, { ...options, limit, permits })
        ),
        (held) => ({ held })
      )
  }
  return source
})

const sharedLock = Effect.fnUntraced(function* (plan: HolderPlan, { writers }: PermitsPlan) {
  const service = yield* SharedLock.make(layerOf(plan))
  const source: Source = {
    draw: (dice) => (dice.chance(writers) ? all : 1),
    take: (permits, waits, options) =>
      permits === 1
        ? Effect.map(either(waits, service.shared(id, options), service.tryShared(id, options)), (held) => ({
            held,
            tryUpgrade: held.tryUpgrade
          }))
        : Effect.map(either(waits, service.exclusive(id, options), service.tryExclusive(id, options)), (held) => ({
            held,
            downgrade: held.downgrade
          }))
  }
  return source
})

/** Does its rounds. Runs on the clock in context. */
export const run = Effect.fnUntraced(function* (options: Options): Effect.fn.Return<void, never, Scope.Scope> {
  const { permits, plan } = options
  const { limit } = permits
  const source = yield* (limit === undefined ? sharedLock(plan, permits) : semaphore(plan, { ...permits, limit })).pipe(
    Effect.provideService(ObjectStore, options.store)
  )
  yield* rounds(options, (name) => goOnce(options, source, name))
})

// The library counts its wishes as we do: what nobody handed on has the wish's own name on the object.
const goOnce = (world: Options, source: Source, name: string): Effect.Effect<void> => {
  const { dice, peek, permits, plan, recorder, witness } = world
  const record = (happening: Happening) => Effect.sync(() => recorder.record(plan.name, happening))
  const amount = source.draw(dice)
  const waits = !dice.chance(plan.tries)
  const options = { snapshot: dice.chance(0.15) ? peek(id) : undefined, releaseInBackground: dice.chance(0.5) }
  const taking = source.take(amount, waits, options)
  const wish: Effect.Effect<Having | undefined, Lock.AcquireError | Lock.TryError, Scope.Scope> = waits
    ? hurried(world, taking, 2 * plan.ttl)
    : taking

  const change = Effect.fnUntraced(function* ({ downgrade, tryUpgrade }: Having) {
    if (!dice.chance(permits.changes)) return
    if (downgrade !== undefined) {
      yield* record({ _tag: "Has", acquisition: name, permits: 1 })
      yield* downgrade
      return yield* work(world, name)
    }
    const upgraded = yield* Effect.catchIf(
      tryUpgrade ?? Effect.succeedNone,
      (error) => error._tag !== "LockLost",
      () => Effect.succeedNone
    )
    if (Option.isNone(upgraded)) return
    witness.forget(name)
    yield* record({ _tag: "Has", acquisition: name, permits: all })
    witness.follow(name, upgraded.value)
    yield* work(world, name, upgraded.value)
    if (!dice.chance(permits.changes)) return
    yield* record({ _tag: "Has", acquisition: name, permits: 1 })
    yield* upgraded.value.downgrade
    yield* work(world, name)
  })

  const hold = Effect.fnUntraced(function* (having: Having) {
    const { held } = having
    recorder.record(plan.name, {
      _tag: "WishEnded",
      acquisition: name,
      end: { _tag: "Granted", turn: plainly(held.holderId) }
    })
    recorder.record(plan.name, { _tag: "Has", acquisition: name, permits: amount })
    yield* follow(world, name, held)
    // A writer alone writes to the resource.
    const working = amount === all ? work(world, name, held) : work(world, name)
    const stay = Effect.andThen(working, change(having))
    yield* Effect.catchTag(plan.stubborn ? stay : held.guard(stay), "LockLost", () => Effect.void)
  })

  return wishFor(world, { _tag: "Wished", acquisition: name, permits: amount }, wish, hold)
}
