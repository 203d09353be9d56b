/** Chaos on two hosts, whose cables are pulled, cut in one direction, slow and lossy. */
import { it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { describeMissing, describeServers } from "../cluster/describeServers.ts"
import { run } from "./chaos.ts"
import * as Host from "./host.ts"
import { judge, options } from "./options.ts"

const problem = Host.problem()

if (problem === undefined) {
  describeServers(
    "chaos on two hosts",
    () => {
      it.live.each([
        ["a lock", false],
        ["an election", true]
      ] as const)("breaks no promise of %s", ([, election]) =>
        Effect.gen(function* () {
          yield* judge(yield* run({ server: "hosts", election, ...(yield* options) }))
        })
      )
    },
    (server) => server === "kube-apiserver"
  )
} else {
  describeMissing("chaos on two hosts", `NOT RUN, no two hosts: ${problem}`)
}
