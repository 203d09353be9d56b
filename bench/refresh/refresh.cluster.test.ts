/** Refreshed exactly once on real API servers: the long proof, and chaos. */
import { assert, describe, layer } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import { Envtest } from "../../src/testing/index.ts"
import * as Chaos from "./chaos.ts"
import * as RefreshProof from "./refreshProof.ts"

const prove = (settings: Partial<RefreshProof.Settings>) =>
  Effect.gen(function* () {
    const api = yield* Envtest.ApiServer
    return yield* RefreshProof.prove({
      rounds: 2000,
      threads: 2,
      processes: 2,
      dex: false,
      lock: true,
      json: false,
      upstream: Duration.zero,
      kubeconfig: { _tag: "Yaml", yaml: api.kubeConfig },
      namespace: "dex",
      ...settings
    })
  }).pipe(Effect.scoped, Effect.provide(FetchHttpClient.layer))

const servers = await Effect.runPromise(Envtest.servers)

describe.each([...servers])("refreshing once on %s", (server) => {
  layer(Envtest.layer({ server, fsync: false }), { timeout: "120 seconds", excludeTestServices: true })((it) => {
    if (server === "kube-apiserver") {
      it.effect("thousands of rotations by threads and processes", () =>
        Effect.gen(function* () {
          const verdict = yield* prove({})
          assert.isTrue(RefreshProof.isRight(verdict), JSON.stringify(verdict))
          assert.strictEqual(verdict.rotations, 2000)
        })
      )

      it.effect("crashes and pauses: every lost grant is accounted for", () =>
        Effect.gen(function* () {
          const { kubeConfig } = yield* Envtest.ApiServer
          const eras = yield* Chaos.play({
            connection: { _tag: "Yaml", yaml: kubeConfig },
            namespace: "dex",
            eras: 6,
            millis: 8000,
            seed: 7
          })
          const seen = JSON.stringify(eras)
          assert.isTrue(
            eras.every(({ lost }) => lost !== "Otherwise"),
            seen
          )
          assert.isTrue(
            eras.some(({ lost }) => lost === "CrashBetweenAnswerAndWrite"),
            seen
          )
        })
      )
    }

    it.effect("beside services that refresh as Dex does", () =>
      Effect.gen(function* () {
        const verdict = yield* prove({ dex: true, rounds: 100 })
        assert.isTrue(RefreshProof.isRight(verdict), JSON.stringify(verdict))
      })
    )
  })
})
