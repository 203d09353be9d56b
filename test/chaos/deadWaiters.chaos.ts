/** Eight of ten processes that wait for a lock on a real API server are killed together. */
import { assert, it } from "@effect/vitest"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { describeServers } from "../cluster/describeServers.ts"
import * as Envtest from "../../src/testing/envtest/Envtest.ts"
import * as NodeDown from "./nodeDown.ts"
import { takeOverOf } from "./settings.ts"

const dead = Array.from({ length: 8 }, (_, index) => `dead${index + 1}`)

describeServers(
  "a crowd of dead waiters",
  (server) => {
    const crowd = Effect.fnUntraced(function* (kind: NodeDown.Kind) {
      const { kubeConfig } = yield* Envtest.start({ server, fsync: false })
      const outcome = yield* NodeDown.nodeDown({ kind, kubeConfig, order: [...dead, "first", "second"] })
      yield* Console.log(`${kind}: 8 dead waiters kept it from 2 living ones for ${outcome.standstill.toFixed(0)} ms`)
      assert.deepStrictEqual(outcome.living.toSorted(), ["first", "second"])
      return outcome
    })

    it.live.each(["lock", "election"] as const)("is handed the %s once, and all the living get it", (kind) =>
      Effect.gen(function* () {
        assert.deepStrictEqual((yield* crowd(kind)).handedToDead, ["dead1"])
      })
    )

    it.live.each(["semaphore", "shared"] as const)(
      "keeps the %s for the TTL of one, and all the living get it",
      (kind) =>
        Effect.gen(function* () {
          assert.isBelow((yield* crowd(kind)).standstill, takeOverOf(NodeDown.ttl))
        })
    )
  },
  (server) => server === "kube-apiserver"
)
