/** Processes that wait for a lock and are killed together: the lock is handed to one of them, not to each. */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as ApiServer from "../../src/testing/ApiServer.ts"
import { nodeDown } from "./nodeDown.ts"

it.live.each(["lock", "election"] as const)(
  "waiters for the %s that are killed together cost one hand-over lease, and all the living get it",
  (kind) =>
    Effect.gen(function* () {
      const { kubeConfig } = yield* ApiServer.make({ namespaces: ["dex"] })
      const order = ["dead1", "first", "dead2", "dead3", "second", "dead4"]
      const { handedToDead, living } = yield* nodeDown({ kind, kubeConfig, order })
      assert.deepStrictEqual(handedToDead, ["dead1"])
      assert.deepStrictEqual(living.toSorted(), ["first", "second"])
    })
)
