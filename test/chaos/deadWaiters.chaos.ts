/** Eight of ten processes that wait for a lock on a real API server are killed together. */
import { assert, it } from "@effect/vitest"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { describeServers } from "../cluster/describeServers.ts"
import * as Envtest from "../../src/testing/envtest/Envtest.ts"
import { nodeDown } from "./nodeDown.ts"

describeServers(
  "a crowd of dead waiters",
  (server) => {
    it.live("is handed the lock once, and all the living get it", () =>
      Effect.gen(function* () {
        const { kubeConfig } = yield* Envtest.start({ server, fsync: false })
        const dead = Array.from({ length: 8 }, (_, index) => `dead${index + 1}`)
        const { handedToDead, living, standstill } = yield* nodeDown(kubeConfig, [...dead, "first", "second"])
        yield* Console.log(`${server}: 8 dead waiters kept the lock from 2 living ones for ${standstill.toFixed(0)} ms`)
        assert.deepStrictEqual(handedToDead, ["dead1"])
        assert.deepStrictEqual(living.toSorted(), ["first", "second"])
      })
    )
  },
  (server) => server === "kube-apiserver"
)
