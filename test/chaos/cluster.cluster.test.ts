/**
 * Several API servers, and two hosts where they can be had: a short cut of the chaos, and hand-overs while a server does not tell what
 * happens.
 */
import { assert, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { describeServers } from "../cluster/describeServers.ts"
import { describeMissing } from "../../tools/notRun.ts"
import * as KubernetesClient from "../../src/KubernetesClient.ts"
import * as Lock from "../../src/Lock.ts"
import * as LockPolicy from "../../src/LockPolicy.ts"
import * as LockProtocol from "../../src/LockProtocol.ts"
import * as ObjectStoreKubernetes from "../../src/ObjectStoreKubernetes.ts"
import * as Resource from "../../src/Resource.ts"
import { run } from "./chaos.ts"
import * as Cluster from "./cluster.ts"
import * as Host from "./host.ts"
import * as Houses from "./houses.ts"
import * as Report from "./report.ts"

/** The control plane of all these tests. */
class Running extends Context.Service<Running, Cluster.Cluster>()("kubelock/test/chaos/Running") {}

const problem = Host.problem()

/** For a busy machine. */
const aSecond = 1000

const policy = LockPolicy.make({ ttl: "3 seconds" })

/** A process of its own: its own client, store and lock. */
const aProcess = (kubeConfig: string, identity: string) =>
  Layer.build(
    Lock.layer({ identity, policy }).pipe(
      Layer.provide(ObjectStoreKubernetes.layer({ resource: Resource.configMap, namespace: "dex" })),
      Layer.provide(KubernetesClient.layerKubeConfigYaml(kubeConfig))
    )
  )

const suite = () =>
  layer(Layer.effect(Running, Cluster.start()), { timeout: "5 minutes", excludeTestServices: true })((it) => {
    it.effect("a hand-over that the server of the watches does not tell is found by the look at the object", () =>
      Effect.gen(function* () {
        const { balancer, servers, site } = yield* Running
        yield* balancer.choose(({ isWatch }) => (isWatch ? 0 : 1))
        yield* Effect.addFinalizer(() => balancer.choose(() => undefined))
        const [one, other] = yield* Effect.all([aProcess(site.kubeConfig, "one"), aProcess(site.kubeConfig, "other")])
        // One process holds the lock for a time, and the other one waits. The effect that it answers tells for how long after the release.
        const handOver = Effect.fnUntraced(function* (id: string, holdFor: number) {
          const held = yield* Deferred.make<void>()
          const released = yield* Lock.withLock(id)(
            Effect.andThen(Deferred.succeed(held, undefined), Effect.sleep(holdFor))
          ).pipe(Effect.andThen(Effect.sync(() => performance.now())), Effect.provide(one), Effect.forkScoped)
          yield* Deferred.await(held)
          const acquired = yield* Lock.withLock(id)(Effect.sync(() => performance.now())).pipe(
            Effect.provide(other),
            Effect.forkScoped
          )
          return Effect.zipWith(Fiber.join(acquired), Fiber.join(released), (acquired, released) => acquired - released)
        })
        yield* Effect.all([Effect.flatten(handOver("a", 300)), Effect.flatten(handOver("b", 300))], {
          concurrency: "unbounded"
        })
        const late = yield* handOver("a", 2 * LockProtocol.recheckAfter + 1000)
        // Longer than the recheck: the waiter has looked, and relies on the watch until the lease as it knows it ends.
        yield* Effect.sleep(LockProtocol.recheckAfter + 200)
        const early = yield* handOver("b", 300)
        // The waiter has joined, and watches.
        yield* Effect.sleep(150)
        yield* servers[0]!.toEtcd.set({ _tag: "HoldBack" })
        const before = yield* early
        const after = yield* late
        yield* servers[0]!.toEtcd.set({ _tag: "Open" })
        assert.isBelow(before, LockProtocol.recheckAfter + aSecond)
        // One second of rounding, and the uncertainty about the server's clock.
        assert.isBelow(after, Duration.toMillis(policy.ttl) + 3 * aSecond + aSecond)
      })
    )

    it.effect(
      "cost no promise when they are killed, frozen, cut off and restarted, nor do the cables of two hosts",
      () =>
        Effect.gen(function* () {
          const hosts = problem === undefined ? yield* Houses.makeHosts(3) : []
          const house = Houses.onCluster(yield* Running, hosts)
          const report = yield* run({ server: "hosts", house, seed: 3, seconds: 15, crowd: 0 })
          assert.deepStrictEqual(Report.problems(report), [])
        })
    )
  })

describeServers("several API servers", suite, (server) => server === "kube-apiserver")

if (problem !== undefined) describeMissing("two hosts", `NOT RUN, no two hosts: ${problem}`)
