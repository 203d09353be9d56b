/** A rolling upgrade, for as long as was asked for. */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { options, record } from "../chaos/options.ts"
import { describeServers } from "../cluster/describeServers.ts"
import { describeMissing } from "../../tools/notRun.ts"
import { problem, released, run } from "./upgrade.ts"

const suite = () =>
  it.live("lets both versions have locks of each kind in turn, and no promise is broken", () =>
    Effect.gen(function* () {
      const { seconds, seed } = yield* options
      const { deaths, logs, problems, turns } = yield* run({ seconds, seed, packed: true, hurries: false })
      yield* record({ kind: `rolling upgrade from ${released.slice(0, 7)}`, seed, seconds, turns, deaths, problems })
      assert.deepStrictEqual(problems, [], logs)
    })
  )

if (problem === undefined) describeServers("a rolling upgrade", suite, (server) => server === "kube-apiserver")
else describeMissing("a rolling upgrade", `NOT RUN, ${problem}`)
