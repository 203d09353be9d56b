/** A process whose event loop is blocked, on real API servers, with the default TTL. */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Envtest } from "../../src/testing/index.ts"
import { describeServers } from "../cluster/describeServers.ts"
import * as stalls from "./stalls.ts"

const ttl = 10_000

const suite = (server: Envtest.Server) =>
  layer(Envtest.layer({ server, fsync: false }), { timeout: "240 seconds", excludeTestServices: true })((it) => {
    it.effect("keeps its lock for half a minute of computing", () =>
      Effect.gen(function* () {
        const { kubeConfig } = yield* Envtest.ApiServer
        assert.isTrue(yield* stalls.isKept(kubeConfig, { ttl, maxStall: 60_000, blockedFor: 30_000, by: "Loop" }))
      })
    )

    it.effect("loses it to another process once it hangs for longer than maxStall", () =>
      Effect.gen(function* () {
        const { kubeConfig } = yield* Envtest.ApiServer
        const after = yield* stalls.isTaken(kubeConfig, { ttl, maxStall: 20_000 })
        // Expiries are in whole seconds, and the machine may be busy.
        assert.isAtMost(after, 20_000 + ttl + 15_000)
      })
    )
  })

describeServers("a process whose event loop is blocked", suite, (server) => server === "kube-apiserver")
