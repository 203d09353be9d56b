/** Chaos on one kind of server, for each kind of lock that `--kind` did not leave out. */
import { it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { describeServers } from "../cluster/describeServers.ts"
import { run } from "./chaos.ts"
import type * as Houses from "./houses.ts"
import { judge, kinds, options } from "./options.ts"

/** Chaos of many processes on kube-apiserver. */
export const describeChaos = (name: string, server: Houses.Kind): void =>
  describeServers(
    name,
    () => {
      it.live.each(kinds)("breaks no promise of %s", (kind) =>
        Effect.gen(function* () {
          yield* judge(yield* run({ server, kind, ...(yield* options) }))
        })
      )
    },
    (server) => server === "kube-apiserver"
  )
