/** Where runners run: the stores that they share, and runners with storage of their own on them. */
import { assert } from "@effect/vitest"
import * as Runner from "effect/cluster/Runner"
import * as RunnerAddress from "effect/cluster/RunnerAddress"
import * as ShardId from "effect/cluster/ShardId"
import * as ShardingConfig from "effect/cluster/ShardingConfig"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as services from "../../src/internal/runners/services.ts"
import { KubernetesClient } from "../../src/KubernetesClient.ts"
import * as ObjectStoreKubernetes from "../../src/ObjectStoreKubernetes.ts"
import * as ObjectStoreMemory from "../../src/ObjectStoreMemory.ts"
import * as Resource from "../../src/Resource.ts"
import { freshId } from "./World.ts"

/** The stores that runners share. */
export class RunnerStores extends Context.Service<RunnerStores, services.Stores>()("test/RunnerStores") {}

/** Stores in memory. */
export const layerMemory: Layer.Layer<RunnerStores> = Layer.effect(
  RunnerStores,
  Effect.gen(function* () {
    const configMaps = yield* ObjectStoreMemory.make()
    const leases = yield* ObjectStoreMemory.make()
    return { configMaps: configMaps.store, leases: leases.store, namespace: "default" }
  })
)

/** Stores on an API server. */
export const layerKubernetes = (namespace: string) =>
  Layer.effect(
    RunnerStores,
    Effect.gen(function* () {
      yield* KubernetesClient
      const configMaps = yield* ObjectStoreKubernetes.make({ resource: Resource.configMap, namespace, content: true })
      const leases = yield* ObjectStoreKubernetes.make({ resource: Resource.lease, namespace })
      return { configMaps, leases, namespace }
    })
  )

/** The expiry and the interval of a cluster. Those of Effect by default: a busy machine is then in time. */
type Times = Partial<Pick<ShardingConfig.ShardingConfig["Service"], "shardLockExpiration" | "shardLockRefreshInterval">>

/** A cluster of its own, and functions that make its runners. */
export const aCluster = Effect.fnUntraced(function* (times: Times = {}) {
  const shared = yield* RunnerStores
  const name = freshId()
  let port = 1000
  return {
    name,
    /** A runner with a process of its own. `change` stands between it and its stores. */
    aRunner: Effect.fnUntraced(function* (change: (stores: services.Stores) => services.Stores = (stores) => stores) {
      const scope = yield* Scope.fork(yield* Effect.scope)
      const { health, held, storage } = yield* services
        .make(change(shared), name)
        .pipe(Effect.provide(ShardingConfig.layer(times)), Scope.provide(scope))
      const address = RunnerAddress.make("localhost", ++port)
      const runner = Runner.make({ address, groups: ["default"], weight: 1 })
      return {
        address,
        runner,
        health,
        storage,
        holds: (shard: number) => held.has(address, ShardId.make("default", shard)),
        registers: storage.register(runner, true),
        acquires: (...shards: ReadonlyArray<number>) => Effect.map(storage.acquire(address, ids(shards)), numbers),
        refreshes: (...shards: ReadonlyArray<number>) => Effect.map(storage.refresh(address, ids(shards)), numbers),
        releases: (...shards: ReadonlyArray<number>) =>
          Effect.forEach(ids(shards), (shard) => storage.release(address, shard), {
            concurrency: "unbounded",
            discard: true
          }),
        closes: Scope.close(scope, Exit.void)
      }
    })
  }
})

/** Shards of the default group. */
export const ids = (shards: ReadonlyArray<number>): ReadonlyArray<ShardId.ShardId> =>
  shards.map((shard) => ShardId.make("default", shard))

/** All shards of a group of that many. */
export const all = (count: number): ReadonlyArray<number> => Array.from({ length: count }, (_, index) => index + 1)

const numbers = (shards: ReadonlyArray<ShardId.ShardId>): ReadonlyArray<number> => {
  for (const { group } of shards) assert.strictEqual(group, "default")
  return shards.map(({ id }) => id)
}
