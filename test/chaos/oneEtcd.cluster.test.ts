/**
 * Short cuts of a rolling upgrade and of servers that are full. Both take no more than one etcd, and they share a control plane, because its
 * start takes a while.
 */
import { assert, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { describeServers } from "../cluster/describeServers.ts"
import { say } from "../../tools/notRun.ts"
import * as Upgrade from "../upgrade/upgrade.ts"
import type * as Cluster from "./cluster.ts"
import * as FullHouse from "./fullHouse.ts"

/** The control plane of both. */
class Running extends Context.Service<Running, Cluster.Cluster>()("kubelock/test/chaos/RunningOnOneEtcd") {}

const suite = () =>
  layer(Layer.effect(Running, FullHouse.start), { timeout: "5 minutes", excludeTestServices: true })((it) => {
    it.effect.runIf(Upgrade.problem === undefined)(
      "a rolling upgrade lets both versions have locks of each kind in turn, and no promise is broken",
      () =>
        Effect.gen(function* () {
          const { balancer, site } = yield* Running
          yield* balancer.choose(() => 0)
          const { logs, problems } = yield* Upgrade.run({ seconds: 0, seed: 0, packed: false, hurries: true, site })
          assert.deepStrictEqual(problems, [], logs)
        }),
      // It waits for eight kinds of locks.
      900_000
    )

    it.effect("servers that are full grant nothing twice, and recover", () =>
      Effect.gen(function* () {
        const outcomes = yield* FullHouse.play(yield* Running, { seed: 5, atOnce: true })
        assert.deepStrictEqual(outcomes.flatMap(FullHouse.problems), [])
      })
    )
  })

describeServers("one etcd", suite, (server) => server === "kube-apiserver")

if (Upgrade.problem !== undefined) say("a rolling upgrade", `NOT RUN, ${Upgrade.problem}`)
