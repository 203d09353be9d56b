/** Chaos on one kind of server: for a lock, and for an election. */
import { it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { describeServers } from "../cluster/describeServers.ts"
import { run } from "./chaos.ts"
import type * as Houses from "./houses.ts"
import { judge, options } from "./options.ts"

/** Chaos of many processes on kube-apiserver. */
export const describeChaos = (name: string, server: Houses.Kind): void =>
  describeServers(
    name,
    () => {
      it.live.each([
        ["a lock", false],
        ["an election", true]
      ] as const)("breaks no promise of %s", ([, election]) =>
        Effect.gen(function* () {
          yield* judge(yield* run({ server, election, ...(yield* options) }))
        })
      )
    },
    (server) => server === "kube-apiserver"
  )
