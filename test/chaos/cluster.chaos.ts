/** Chaos on two API servers and three etcd members: 16 processes contend, and four more share a rotating token. */
import { it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { describeServers } from "../cluster/describeServers.ts"
import { run } from "./chaos.ts"
import { judge, options } from "./options.ts"

describeServers(
  "chaos on several servers",
  () => {
    it.live.each([
      ["a lock", false],
      ["an election", true]
    ] as const)("breaks no promise of %s", ([, election]) =>
      Effect.gen(function* () {
        yield* judge(yield* run({ server: "cluster", election, ...(yield* options) }))
      })
    )
  },
  (server) => server === "kube-apiserver"
)
