/**
 * The runners and the shard locks of an Effect cluster, on Kubernetes, with no database: a layer that goes where that of
 * `SqlRunnerStorage` goes.
 *
 * **Example** (The runners of a service)
 *
 * ```ts
 * import { NodeClusterHttp } from "@effect/platform-node"
 * import { Layer } from "effect"
 * import { MessageStorage, ShardingConfig } from "effect/cluster"
 * import { KubernetesClient } from "kubelock"
 * import * as KubernetesRunnerStorage from "kubelock/KubernetesRunnerStorage"
 *
 * const ClusterLive = NodeClusterHttp.layer({ transport: "http", storage: "byo" }).pipe(
 *   Layer.provide(MessageStorage.layerNoop),
 *   Layer.provide(KubernetesRunnerStorage.layer({ name: "orders" })),
 *   Layer.provide(ShardingConfig.layerFromEnv()),
 *   Layer.provide(KubernetesClient.layerKubeConfig())
 * )
 * ```
 *
 * **Details**
 *
 * - A runner is a session: a Lease that `refresh` renews by one write, whatever the number of its shards. It lives for
 *   `shardLockExpiration`.
 * - The shards of a group are entries of one ConfigMap, written only when shards change hands. The runners are entries of another one.
 *   Both are known from a watch, so `getRunners` makes no request.
 * - A runner takes the shards of another one only after that one's session has ended. It ends an expired session itself: a write to
 *   its Lease, under the version in which it has expired, so that its owner can never renew it.
 * - A runner whose session has ended gets no shards from `refresh`. It has to acquire them anew, under a new session.
 * - Each runner waits for the end of one other's session, and removes it from the runners. So a runner that died is missing once its
 *   session has expired.
 * - Machine ids are the smallest that are free. No two sessions have the same at the same time, and there are 1024.
 * - Each operation has a deadline of 0.8 of the refresh interval: the smaller one of `shardLockRefreshInterval` and a third of
 *   `shardLockExpiration`.
 * - RBAC verbs, all in the namespace: `get`, `create`, `patch` and `watch` on ConfigMaps and on `leases.coordination.k8s.io`.
 *
 * **Gotchas**
 *
 * - Messages are another matter. What is persisted (`ClusterSchema.Persisted`), `ClusterCron` and workflows need a `MessageStorage`
 *   that persists, such as `SqlMessageStorage`.
 * - A runner whose event loop is blocked for longer than `shardLockExpiration` loses its shards. No thread renews its session: `refresh` is
 *   how `Sharding` says that it works.
 * - All runners of a cluster need the same name, the same namespace and the same `shardLockExpiration`.
 * - Deleting the ConfigMaps or the Leases while runners work lets a shard run twice until they notice.
 */
import * as RunnerHealth from "effect/cluster/RunnerHealth"
import * as RunnerStorage from "effect/cluster/RunnerStorage"
import * as ShardingConfig from "effect/cluster/ShardingConfig"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as runners from "./internal/runners/runners.ts"
import * as services from "./internal/runners/services.ts"
import { KubernetesClient } from "./KubernetesClient.ts"
import type * as LockError from "./LockError.ts"
import * as ObjectStoreKubernetes from "./ObjectStoreKubernetes.ts"
import * as ObjectStoreMemory from "./ObjectStoreMemory.ts"
import * as Resource from "./Resource.ts"

/** The options of a cluster. */
export interface Options {
  /**
   * Its name, `cluster` by default. The names of its objects begin with it, so several clusters can be in one
   * namespace.
   */
  readonly name?: string | undefined
  /** The namespace of its objects. The default is that of the kubeconfig's context, or of the pod. */
  readonly namespace?: string | undefined
}

/**
 * What the runners of this process hold.
 *
 * - `has`: whether the shard is the runner's at this moment, by the clocks of this process and what it knows. It makes no request, and says
 *   no before another runner can have the shard.
 *
 * **When to use**
 *
 * `Sharding` stops the entities of a shard that is lost once it has been told so, at the next refresh. A process that was suspended goes
 * on until then. An entity that acts on the outside asks right before it does.
 */
export class HeldShards extends Context.Service<HeldShards, services.HeldShards>()(
  "kubelock/KubernetesRunnerStorage/HeldShards"
) {}

/** The storage of runners, their health by their sessions, and what those of this process hold. */
export interface Services extends services.Services {}

/**
 * Makes the services.
 *
 * All failures of the storage are `PersistenceError`. `isAlive` says whether the session of the runner lives, and `true` if the API server
 * does not answer.
 *
 * Fails with `LockInvalidName` if the namespace, or the name of an object, is not a valid name.
 */
export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<Services, LockError.InvalidName, KubernetesClient | ShardingConfig.ShardingConfig | Scope.Scope> {
  const { interval } = services.timesOf(yield* ShardingConfig.ShardingConfig)
  const client = yield* KubernetesClient
  const namespace = options.namespace ?? client.namespace
  const requestTimeout = runners.requestTimeoutIn(interval)
  const configMaps = yield* ObjectStoreKubernetes.make({
    resource: Resource.configMap,
    namespace,
    requestTimeout,
    content: true
  })
  const leases = yield* ObjectStoreKubernetes.make({ resource: Resource.lease, namespace, requestTimeout })
  return yield* services.make({ configMaps, leases, namespace }, options.name)
})

/** The services, on the cluster of the client. */
export const layer = (
  options: Options = {}
): Layer.Layer<
  RunnerStorage.RunnerStorage | RunnerHealth.RunnerHealth | HeldShards,
  LockError.InvalidName,
  KubernetesClient | ShardingConfig.ShardingConfig
> => Layer.effectContext(Effect.map(make(options), contextOf))

/** The services in this process, for tests. Runners find each other only if they share the layer. */
export const layerMemory = (
  options: Options = {}
): Layer.Layer<
  RunnerStorage.RunnerStorage | RunnerHealth.RunnerHealth | HeldShards,
  LockError.InvalidName,
  ShardingConfig.ShardingConfig
> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const configMaps = yield* ObjectStoreMemory.make()
      const leases = yield* ObjectStoreMemory.make()
      const namespace = options.namespace ?? "default"
      return contextOf(
        yield* services.make({ configMaps: configMaps.store, leases: leases.store, namespace }, options.name)
      )
    })
  )

const contextOf = ({ health, held, storage }: Services) =>
  Context.make(RunnerStorage.RunnerStorage, storage).pipe(
    Context.add(RunnerHealth.RunnerHealth, health),
    Context.add(HeldShards, HeldShards.of(held))
  )
