/** Servers that are full, again and again. */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { describeServers } from "../cluster/describeServers.ts"
import * as FullHouse from "./fullHouse.ts"
import { record, repeatedly } from "./options.ts"

describeServers(
  "a full house",
  () => {
    it.live("grants nothing twice, and recovers", () =>
      repeatedly(
        Effect.fnUntraced(function* (seed) {
          const outcomes = yield* Effect.scoped(
            Effect.flatMap(FullHouse.start, (cluster) => FullHouse.play(cluster, { seed }))
          )
          yield* Effect.forEach(outcomes, (outcome) => record({ seed, ...outcome }), { discard: true })
          assert.deepStrictEqual([seed, outcomes.flatMap(FullHouse.problems)], [seed, []])
        })
      )
    )
  },
  (server) => server === "kube-apiserver"
)
