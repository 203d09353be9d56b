/** The services of Effect's cluster that runners with sessions provide. */
import * as ClusterError from "effect/cluster/ClusterError"
import type { RunnerAddress } from "effect/cluster/RunnerAddress"
import * as RunnerHealth from "effect/cluster/RunnerHealth"
import * as RunnerStorage from "effect/cluster/RunnerStorage"
import type { ShardId } from "effect/cluster/ShardId"
import * as ShardingConfig from "effect/cluster/ShardingConfig"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as LockError from "../../LockError.ts"
import { ObjectStore } from "../../ObjectStore.ts"
import * as Resource from "../../Resource.ts"
import * as reporting from "../session/reporting.ts"
import * as session from "../session/session.ts"
import * as runners from "./runners.ts"

/** What runners of this process hold. See `KubernetesRunnerStorage.HeldShards`. */
export interface HeldShards {
  readonly has: (address: RunnerAddress, shardId: ShardId) => Effect.Effect<boolean>
}

/** The storage of runners, their health by their sessions, and what those of this process hold. */
export interface Services {
  readonly storage: RunnerStorage.RunnerStorage["Service"]
  readonly health: RunnerHealth.RunnerHealth["Service"]
  readonly held: HeldShards
}

/** The stores of a cluster, and the namespace of their objects. `configMaps` includes content. */
export interface Stores {
  readonly configMaps: ObjectStore["Service"]
  readonly leases: ObjectStore["Service"]
  readonly namespace: string
}

/** Makes the services over the stores. */
export const make = Effect.fnUntraced(function* (
  { configMaps, leases, namespace }: Stores,
  name = "cluster"
): Effect.fn.Return<Services, LockError.InvalidName, ShardingConfig.ShardingConfig | Scope.Scope> {
  yield* Effect.fromResult(Resource.checkName(`${name}-runners`))
  const { expiration, interval } = timesOf(yield* ShardingConfig.ShardingConfig)
  const sessions = yield* session
    .make({ namespace, prefix: `${name}-session`, ttl: expiration, renewEvery: false })
    .pipe(Effect.provideService(ObjectStore, leases))
  const made = yield* runners.make(configMaps, sessions, { name, namespace, expiration, interval })
  // `Sharding` logs what fails for debugging only. What no repetition mends is worth a line.
  const report = reporting.make("The runner cannot work.")
  const operation = <A>(
    effect: Effect.Effect<A, LockError.StoreError>
  ): Effect.Effect<A, ClusterError.PersistenceError> =>
    Effect.withTracerEnabled(ClusterError.PersistenceError.refail(Effect.tapError(effect, report)), false)
  const isAlive = ({ host, port }: RunnerAddress) =>
    Effect.catch(operation(made.isAlive(`${host}:${port}`)), () => Effect.succeed(true))
  return {
    storage: RunnerStorage.makeEncoded({
      getRunners: operation(made.getRunners),
      register: (address, runner, healthy) => operation(made.register(address, runner, healthy)),
      unregister: (address) => operation(made.unregister(address)),
      setRunnerHealth: (address, healthy) => operation(made.setRunnerHealth(address, healthy)),
      acquire: (address, shards) => operation(made.acquire(address, shards)),
      refresh: (address, shards) => operation(made.refresh(address, shards)),
      release: (address, shard) => operation(made.release(address, shard)),
      releaseAll: (address) => operation(made.releaseAll(address))
    }),
    health: RunnerHealth.RunnerHealth.of({ isAlive }),
    held: {
      has: ({ host, port }, shardId) => Effect.sync(() => made.holds(`${host}:${port}`, shardId.toString()))
    }
  }
})

/** For how long a session lives, and how often `Sharding` renews it. */
export const timesOf = ({
  shardLockExpiration,
  shardLockRefreshInterval
}: ShardingConfig.ShardingConfig["Service"]) => {
  const expiration = Duration.fromInputUnsafe(shardLockExpiration)
  const interval = Duration.min(
    Duration.fromInputUnsafe(shardLockRefreshInterval),
    Duration.divideUnsafe(expiration, 3)
  )
  return { expiration, interval }
}
