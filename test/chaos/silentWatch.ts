/** Hand-overs that the API server of the watches does not tell, while another one takes the requests. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as KubernetesClient from "../../src/KubernetesClient.ts"
import * as Lock from "../../src/Lock.ts"
import type * as LockPolicy from "../../src/LockPolicy.ts"
import * as LockProtocol from "../../src/LockProtocol.ts"
import * as ObjectStoreKubernetes from "../../src/ObjectStoreKubernetes.ts"
import * as Resource from "../../src/Resource.ts"
import type * as Cluster from "./cluster.ts"

/** A process of its own: its own client, store and lock. */
const aProcess = (kubeConfig: string, identity: string, policy: LockPolicy.LockPolicy) =>
  Layer.build(
    Lock.layer({ identity, policy }).pipe(
      Layer.provide(ObjectStoreKubernetes.layer({ resource: Resource.configMap, namespace: "dex" })),
      Layer.provide(KubernetesClient.layerKubeConfigYaml(kubeConfig))
    )
  )

/**
 * How long after the release a waiter had the lock, in milliseconds. `early`: one whose first look at the object again was still to come.
 * `late`: one that relied on its watch.
 */
export interface Delays {
  readonly early: number
  readonly late: number
}

/** Lets the server of the watches fall silent, and then two holders release their locks. */
export const play = Effect.fnUntraced(function* (
  { balancer, servers, site }: Cluster.Cluster,
  policy: LockPolicy.LockPolicy
) {
  yield* balancer.choose(({ isWatch }) => (isWatch ? 0 : 1))
  const { toEtcd } = servers[0]!
  yield* Effect.addFinalizer(() =>
    Effect.andThen(
      toEtcd.set({ _tag: "Open" }),
      balancer.choose(() => undefined)
    )
  )
  const [one, other] = yield* Effect.all([
    aProcess(site.kubeConfig, "one", policy),
    aProcess(site.kubeConfig, "other", policy)
  ])
  // One process holds the lock, and the other one waits. The effect that it answers tells for how long after the release.
  const handOver = Effect.fnUntraced(function* (id: string, untilRelease: Effect.Effect<void>) {
    const held = yield* Deferred.make<void>()
    const released = yield* Lock.withLock(id)(Effect.andThen(Deferred.succeed(held, undefined), untilRelease)).pipe(
      Effect.andThen(Effect.sync(() => performance.now())),
      Effect.provide(one),
      Effect.forkScoped
    )
    yield* Deferred.await(held)
    const acquired = yield* Lock.withLock(id)(Effect.sync(() => performance.now())).pipe(
      Effect.provide(other),
      Effect.forkScoped
    )
    return Effect.zipWith(Fiber.join(acquired), Fiber.join(released), (acquired, released) => acquired - released)
  })
  const told = Effect.sleep("300 millis")
  yield* Effect.all([Effect.flatten(handOver("a", told)), Effect.flatten(handOver("b", told))], {
    concurrency: "unbounded"
  })
  const silent = yield* Deferred.make<void>()
  const late = yield* handOver("a", Deferred.await(silent))
  // Longer than the recheck: the waiter has looked, and relies on the watch until the lease as it knows it ends.
  yield* Effect.sleep(LockProtocol.recheckAfter + 200)
  const early = yield* handOver("b", Deferred.await(silent))
  // The waiter has joined, and watches.
  yield* Effect.sleep(150)
  yield* toEtcd.set({ _tag: "HoldBack" })
  yield* Deferred.succeed(silent, undefined)
  return (yield* Effect.all({ early, late })) satisfies Delays
}, Effect.scoped)
