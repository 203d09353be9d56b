/** What upstream asks of a `RunnerStorage`, and what ours promises besides, on every pair of stores. */
import { assert, type Vitest } from "@effect/vitest"
import * as Runner from "effect/cluster/Runner"
import * as ShardId from "effect/cluster/ShardId"
import * as Effect from "effect/Effect"
import { aCluster, all, ids, type RunnerStores } from "../utils/runners.ts"

/** Declares the suite. */
export const runnerStorage = (it: Vitest.MethodsNonLive<RunnerStores>) => {
  it.effect("registers, updates and unregisters a runner, as upstream's does", () =>
    Effect.gen(function* () {
      const { address, runner, storage } = yield* (yield* aCluster()).aRunner()
      assert.deepStrictEqual(yield* storage.getRunners, [])
      assert.strictEqual(yield* storage.register(runner, true), 0)
      assert.strictEqual(yield* storage.register(runner, true), 0)
      assert.deepStrictEqual(yield* storage.getRunners, [[runner, true]])
      yield* storage.setRunnerHealth(address, false)
      assert.deepStrictEqual(yield* storage.getRunners, [[runner, false]])
      const heavier = Runner.make({ address, groups: ["default", "other"], weight: 2 })
      assert.strictEqual(yield* storage.register(heavier, true), 0)
      assert.deepStrictEqual(yield* storage.getRunners, [[heavier, true]])
      yield* storage.unregister(address)
      assert.deepStrictEqual(yield* storage.getRunners, [])
    })
  )

  it.effect("acquires, refreshes and releases shards, as upstream's does", () =>
    Effect.gen(function* () {
      const { acquires, refreshes, releases } = yield* (yield* aCluster()).aRunner()
      assert.deepStrictEqual(yield* acquires(1, 2, 3), [1, 2, 3])
      assert.deepStrictEqual(yield* acquires(1, 2, 3), [1, 2, 3])
      assert.deepStrictEqual(yield* refreshes(1, 2, 3), [1, 2, 3])
      yield* releases(2)
      assert.deepStrictEqual(yield* refreshes(1, 2, 3), [1, 3])
      assert.deepStrictEqual(yield* refreshes(), [])
      yield* releases(2)
    })
  )

  it.effect("takes shards that can be iterated once", () =>
    Effect.gen(function* () {
      const { address, storage } = yield* (yield* aCluster()).aRunner()
      const shards = ids([1, 2])
      const once = (function* () {
        yield* shards
      })()
      assert.deepStrictEqual(yield* storage.acquire(address, once), shards)
      assert.deepStrictEqual(yield* storage.acquire(address, []), [])
    })
  )

  it.effect("excludes other runners, and tells each which of the shards that it asked for are its own", () =>
    Effect.gen(function* () {
      const { aRunner } = yield* aCluster()
      const [a, b] = [yield* aRunner(), yield* aRunner()]
      assert.deepStrictEqual(yield* a.acquires(1, 2, 3), [1, 2, 3])
      assert.deepStrictEqual(yield* b.acquires(2, 3, 4), [4])
      assert.deepStrictEqual(yield* b.refreshes(2, 3, 4), [4])
      assert.deepStrictEqual(yield* a.acquires(3, 4, 5), [3, 5])
      yield* a.releases(3)
      yield* b.releases(1, 2)
      assert.deepStrictEqual(yield* b.acquires(1, 2, 3, 4), [3, 4])
      assert.deepStrictEqual(yield* a.refreshes(...all(5)), [1, 2, 5])
    })
  )

  it.effect("keeps clusters and groups apart, whatever their names", () =>
    Effect.gen(function* () {
      const [{ aRunner }, other] = [yield* aCluster(), yield* aCluster()]
      const [a, b] = [yield* aRunner(), yield* aRunner()]
      yield* a.acquires(1)
      assert.deepStrictEqual(yield* (yield* other.aRunner()).acquires(1), [1])
      const group = "Große Aufträge: eu/1"
      const shards = [ShardId.make(group, 1), ShardId.make(group, 2)]
      assert.deepStrictEqual(yield* b.storage.acquire(b.address, shards), shards)
      assert.deepStrictEqual(yield* a.storage.acquire(a.address, shards), [])
      assert.deepStrictEqual(yield* b.storage.refresh(b.address, [...shards, ...ids([1])]), shards)
    })
  )

  it.effect("gives many shards to many runners at the same time, each to one of them", () =>
    Effect.gen(function* () {
      const { aRunner } = yield* aCluster()
      const runners = yield* Effect.forEach(all(6), () => aRunner())
      const acquired = yield* Effect.forEach(runners, ({ acquires }) => acquires(...all(300)), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(
        acquired.flat().toSorted((a, b) => a - b),
        all(300)
      )
    })
  )

  it.effect("frees all shards of a runner that releases them all, or that leaves", () =>
    Effect.gen(function* () {
      const { aRunner } = yield* aCluster()
      const [a, b, c] = [yield* aRunner(), yield* aRunner(), yield* aRunner()]
      yield* a.acquires(...all(100))
      yield* a.storage.releaseAll(a.address)
      assert.deepStrictEqual(yield* a.refreshes(...all(100)), [])
      assert.deepStrictEqual(yield* b.acquires(...all(100)), all(100))
      yield* b.closes
      assert.deepStrictEqual(yield* c.acquires(...all(100)), all(100))
    })
  )

  it.effect("gives machine ids that are the smallest free, and none twice while its runner lives", () =>
    Effect.gen(function* () {
      const { aRunner } = yield* aCluster()
      const [a, b, c, d] = [yield* aRunner(), yield* aRunner(), yield* aRunner(), yield* aRunner()]
      const first = yield* Effect.forEach([a, b, c], ({ registers }) => registers, { concurrency: "unbounded" })
      assert.deepStrictEqual(first.toSorted(), [0, 1, 2] as never)
      // It may draw ids of messages until it has left.
      yield* a.storage.unregister(a.address)
      assert.strictEqual(yield* d.registers, 3)
      assert.strictEqual(yield* a.registers, first[0])
      yield* b.closes
      assert.strictEqual(yield* (yield* aRunner()).registers, first[1])
    })
  )

  it.effect("tells that a runner lives until it has left", () =>
    Effect.gen(function* () {
      const { aRunner } = yield* aCluster()
      const [a, b] = [yield* aRunner(), yield* aRunner()]
      assert.isFalse(yield* b.health.isAlive(a.address))
      yield* a.registers
      assert.isTrue(yield* b.health.isAlive(a.address))
      yield* a.closes
      assert.isFalse(yield* Effect.repeat(b.health.isAlive(a.address), { until: (isAlive) => !isAlive, times: 100 }))
    })
  )
}
