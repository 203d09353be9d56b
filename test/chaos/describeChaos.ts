/** Chaos on one kind of server, with a lock of each kind that `--kind` did not leave out. */
import { it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { describeServers } from "../cluster/describeServers.ts"
import { run } from "./chaos.ts"
import type * as Houses from "./houses.ts"
import { judge, kindsIn, options } from "./options.ts"

/** Chaos of many processes on kube-apiserver. */
export const describeChaos = (name: string, server: Houses.Kind): void =>
  describeServers(
    name,
    () => {
      it.live("breaks no promise", () =>
        Effect.gen(function* () {
          yield* judge(yield* run({ server, kinds: kindsIn(server), ...(yield* options) }))
        })
      )
    },
    (server) => server === "kube-apiserver"
  )
