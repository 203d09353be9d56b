/** Servers that are full, each once. */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { describeServers } from "../cluster/describeServers.ts"
import * as FullHouse from "./fullHouse.ts"

describeServers(
  "a full house",
  () => {
    it.live("grants nothing twice, and recovers", () =>
      Effect.gen(function* () {
        assert.deepStrictEqual((yield* FullHouse.play(5)).flatMap(FullHouse.problems), [])
      })
    )
  },
  (server) => server === "kube-apiserver"
)
