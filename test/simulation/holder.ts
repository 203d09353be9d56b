/** A process that uses the library: its fibers want the lock, work under it, give it back, and do so again. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type { Held } from "../../src/Held.ts"
import * as Lock from "../../src/Lock.ts"
import * as LockPolicy from "../../src/LockPolicy.ts"
import { type ObjectSnapshot, ObjectStore } from "../../src/ObjectStore.ts"
import { type Happening, plainly } from "./history.ts"
import type { HolderPlan } from "./plan.ts"
import { failureOf, follow, hurried, rounds, wishFor, type Wishing, work } from "./wishing.ts"

/** What a holder needs of its world. */
export interface Options extends Wishing {
  /** The object as the process has just read it by other means. */
  readonly peek: (on: string) => ObjectSnapshot | undefined
  /** The objects that it locks, one at a time. */
  readonly objects: ReadonlyArray<string>
  /** What it has in place of the lock that it got. */
  readonly holds?: ((held: Held) => Held) | undefined
  /** Writes to the resource that the lock of an object protects. */
  readonly writeFencedOn: (on: string) => Wishing["writeFenced"]
}

/** The key of its lock. */
export const keyOf = ({ hasNeutralKey }: HolderPlan): string =>
  hasNeutralKey ? LockPolicy.neutralAnnotation : LockPolicy.dexAnnotation

/** Makes its lock, and answers its rounds. Runs on the clock in context. */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<Effect.Effect<void>, never, Scope.Scope> {
  const { plan } = options
  const lock = yield* Lock.make({
    identity: plan.name,
    policy: LockPolicy.make({
      annotation: keyOf(plan),
      ttl: plan.ttl,
      sharedWithDex: plan.besideDex,
      renewEvery: plan.renews ? undefined : false,
      session: plan.session === true,
      waitSchedule: LockPolicy.fixedPolls(plan.interval, plan.polls)
    })
  }).pipe(Effect.provideService(ObjectStore, options.store))
  return rounds(options, (name) => goOnce(options, lock, name))
})

// The library counts its wishes as we do: where nothing was passed on, the lock on the object has the wish's own name.
const goOnce = (given: Options, lock: Lock.Lock["Service"], name: string) => {
  const { dice, objects, peek, plan, recorder } = given
  const isOne = objects.length === 1
  const id = isOne ? objects[0]! : dice.pick(objects)
  const world = { ...given, writeFenced: given.writeFencedOn(id) }
  const record = (happening: Happening) => Effect.sync(() => recorder.record(plan.name, happening))

  const options = { snapshot: dice.chance(0.15) ? peek(id) : undefined, releaseInBackground: dice.chance(0.5) }
  const wish: Effect.Effect<Held | undefined, Lock.AcquireError | Lock.TryError, Scope.Scope> = dice.chance(plan.tries)
    ? lock.tryScoped(id, options)
    : hurried(world, lock.scoped(id, options), 2 * plan.ttl)

  const stay = (held: Held) =>
    Effect.gen(function* () {
      yield* work(world, name, held)
      if (!dice.chance(plan.commits)) return
      const isDone = yield* commit(held)
      // What it makes of a commit that failed shows only if it goes on.
      if (!isDone) yield* Effect.sleep(dice.between(0, plan.ttl))
    })

  // A guard is interrupted by the loss that ends a commit.
  const commit = (held: Held) =>
    record({ _tag: "Committing", acquisition: name }).pipe(
      Effect.andThen(Effect.exit(held.commitAndRelease([{ path: ["written"], value: name }]))),
      Effect.flatMap((exit) =>
        record({
          _tag: "Committed",
          acquisition: name,
          how: Exit.isSuccess(exit) ? "done" : failureOf(exit.cause).problem
        }).pipe(Effect.as(Exit.isSuccess(exit)))
      ),
      Effect.uninterruptible
    )

  const hold = Effect.fnUntraced(function* (got: Held) {
    const held = given.holds?.(got) ?? got
    const turn = plainly(held.holderId)
    recorder.record(plan.name, { _tag: "WishEnded", acquisition: name, end: { _tag: "Granted", turn } })
    yield* follow(world, name, held)
    yield* plan.stubborn ? stay(held) : Effect.catchTag(held.guard(stay(held)), "LockLost", () => Effect.void)
  })

  return wishFor(world, { _tag: "Wished", acquisition: name, ...(isOne ? {} : { on: id }) }, wish, hold)
}
