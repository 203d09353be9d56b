/**
 * Several API servers, and two hosts where they can be had: a short cut of the chaos, and hand-overs while a server does not tell what
 * happens.
 */
import { assert, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { describeServers } from "../cluster/describeServers.ts"
import { describeMissing } from "../../tools/notRun.ts"
import * as LockPolicy from "../../src/LockPolicy.ts"
import * as LockProtocol from "../../src/LockProtocol.ts"
import { run } from "./chaos.ts"
import * as Cluster from "./cluster.ts"
import * as Host from "./host.ts"
import * as Houses from "./houses.ts"
import * as Report from "./report.ts"
import * as SilentWatch from "./silentWatch.ts"

/** The control plane of all these tests. */
class Running extends Context.Service<Running, Cluster.Cluster>()("kubelock/test/chaos/Running") {}

const problem = Host.problem()

/** For a busy machine. */
const aSecond = 1000

const suite = () =>
  layer(Layer.effect(Running, Cluster.start()), { timeout: "5 minutes", excludeTestServices: true })((it) => {
    it.effect("a hand-over that the server of the watches does not tell is found by the look at the object", () =>
      Effect.gen(function* () {
        const policy = LockPolicy.make({ ttl: "3 seconds" })
        const { early, late } = yield* SilentWatch.play(yield* Running, policy)
        assert.isBelow(early, LockProtocol.recheckAfter + aSecond)
        // One second of rounding, and the uncertainty about the server's clock.
        assert.isBelow(late, Duration.toMillis(policy.ttl) + 3 * aSecond + aSecond)
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
