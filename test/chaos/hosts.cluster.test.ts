/** A short cut of the chaos on two hosts. */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { describeServers } from "../cluster/describeServers.ts"
import { describeMissing } from "../../tools/notRun.ts"
import { run } from "./chaos.ts"
import * as Host from "./host.ts"
import * as Report from "./report.ts"

const problem = Host.problem()

if (problem === undefined) {
  describeServers(
    "two hosts",
    () => {
      it.live("keep every promise while their cables are pulled, cut in one direction, slow and lossy", () =>
        Effect.gen(function* () {
          const report = yield* run({ server: "hosts", seed: 2, seconds: 10, crowd: 0 })
          assert.deepStrictEqual(Report.problems(report), [])
        })
      )
    },
    (server) => server === "kube-apiserver"
  )
} else {
  describeMissing("two hosts", `NOT RUN, no two hosts: ${problem}`)
}
