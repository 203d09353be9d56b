/**
 * Runners that acquire, release and refresh shards at random, while their requests are slow, get lost, are refused, or hang. At every moment
 * each shard has at most one runner that holds it. In the end, when the faults are over, one of them gets all shards.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as LockError from "../../../src/LockError.ts"
import type { ObjectStore } from "../../../src/ObjectStore.ts"
import * as Dice from "../../simulation/dice.ts"
import { aCluster, all, layerMemory } from "../../utils/runners.ts"

const shards = all(8)
const seconds = 40

const world = Effect.fnUntraced(function* (seed: number) {
  const dice = Dice.make(seed, "runners")
  const { aRunner } = yield* aCluster({ shardLockExpiration: "6 seconds", shardLockRefreshInterval: "2 seconds" })
  let hasFaults = true

  // How a request fares. What is slow may take longer than a session lives, as in a process that is suspended.
  const faring = <A, E>(object: string, request: Effect.Effect<A, E>): Effect.Effect<A, E | LockError.Unavailable> =>
    Effect.suspend(() => {
      const failure = Effect.fail(new LockError.Unavailable({ object, verb: "patch", detail: "a fault of the test" }))
      const late = Effect.sleep(dice.between(0, dice.chance(0.2) ? 9000 : 300))
      if (!hasFaults || dice.chance(0.7)) return request
      if (dice.chance(0.4)) return Effect.andThen(late, request)
      if (dice.chance(0.4)) return Effect.tap(request, () => late)
      return dice.chance(0.5) ? failure : Effect.andThen(request, failure)
    })
  const faulty = (store: ObjectStore["Service"]): ObjectStore["Service"] => ({
    ...store,
    read: (id) => faring(id, store.read(id)),
    create: (id, annotations, content) => faring(id, store.create(id, annotations, content)),
    compareAndSwap: (id, patch) => faring(id, store.compareAndSwap(id, patch)),
    // A watch lags behind, sometimes for longer than a session lives.
    watch: (id, options) =>
      Stream.mapEffect(store.watch(id, options), (event) =>
        Effect.as(Effect.sleep(hasFaults ? dice.between(0, dice.chance(0.3) ? 9000 : 300) : 0), event)
      )
  })

  const runners = yield* Effect.forEach(all(4), () =>
    aRunner(({ configMaps, leases, namespace }) => ({
      configMaps: faulty(configMaps),
      leases: faulty(leases),
      namespace
    }))
  )
  // What closes waits for nothing then.
  yield* Effect.addFinalizer(() => {
    hasFaults = false
    return TestClock.adjust("30 seconds")
  })
  const some = () => shards.filter(() => dice.chance(0.5))
  const lives = yield* Effect.forEach(runners, ({ acquires, refreshes, registers, releases, storage }) =>
    Effect.forkChild(
      Effect.gen(function* () {
        yield* Effect.ignore(registers)
        for (;;) {
          yield* Effect.ignore(acquires(...some()))
          yield* Effect.sleep(dice.between(0, 1500))
          if (dice.chance(0.85)) yield* Effect.ignore(refreshes(...shards))
          if (dice.chance(0.4)) yield* Effect.ignore(releases(...some()))
          yield* Effect.ignore(storage.getRunners)
          yield* Effect.sleep(dice.between(0, dice.chance(0.1) ? 9000 : 1500))
        }
      }),
      { startImmediately: true }
    )
  )
  let moves = 0
  const holderOf = new Map<number, number>()
  for (let step = 0; step < seconds * 20; step++) {
    yield* TestClock.adjust("50 millis")
    for (const shard of shards) {
      const holds = yield* Effect.forEach(runners, (runner) => runner.holds(shard))
      const holders = holds.flatMap((holds, index) => (holds ? [index] : []))
      assert.isAtMost(
        holders.length,
        1,
        `seed ${seed}: shard ${shard} has the runners ${holders} after ${step * 50} ms`
      )
      const [holder] = holders
      if (holder !== undefined && holderOf.get(shard) !== holder) moves++
      if (holder !== undefined) holderOf.set(shard, holder)
    }
  }
  hasFaults = false
  yield* Effect.forEach(lives, Fiber.interrupt)
  const [survivor] = runners
  const wins = yield* Effect.forkChild(
    Effect.gen(function* () {
      yield* survivor!.refreshes()
      yield* Effect.forEach(all(5), () =>
        Effect.andThen(Effect.ignore(survivor!.refreshes(...shards)), Effect.sleep("2 seconds"))
      )
      return yield* survivor!.acquires(...shards)
    }),
    { startImmediately: true }
  )
  for (let step = 0; step < 400 && wins.pollUnsafe() === undefined; step++) yield* TestClock.adjust("50 millis")
  assert.deepStrictEqual(yield* Fiber.join(wins), shards, `seed ${seed}`)
  return moves
})

describe("runners, with faults", () => {
  for (const seed of all(6)) {
    it.effect(`hold each shard one at a time (seed ${seed})`, () =>
      Effect.gen(function* () {
        assert.isAbove(yield* world(seed), 10)
      }).pipe(Random.withSeed(`${seed}/library`), Effect.provide(layerMemory))
    )
  }
})
