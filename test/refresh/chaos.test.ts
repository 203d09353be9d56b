/** Crashes and pauses on the embedded server: every grant that was lost is accounted for. */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as ApiServer from "../../src/testing/ApiServer.ts"
import * as Chaos from "./chaos.ts"

layer(ApiServer.layer(), { excludeTestServices: true })("services that are killed and suspended", (it) => {
  it.effect(
    "lose a grant only if a crash, a pause or the end of a lease comes between answer and write",
    () =>
      Effect.gen(function* () {
        const { kubeConfig } = yield* ApiServer.ApiServer
        const connection = { _tag: "Yaml", yaml: kubeConfig } as const
        const eras = yield* Chaos.play({ connection, namespace: "default", eras: 2, millis: 3000, seed: 1 })
        assert.isTrue(
          eras.every(({ lost }) => lost !== "Otherwise"),
          JSON.stringify(eras)
        )
        assert.isTrue(
          eras.every(({ refreshes }) => refreshes > 0),
          JSON.stringify(eras)
        )
      }),
    120_000
  )

  it.effect(
    "lose it otherwise without a lock, and the account says so",
    () =>
      Effect.gen(function* () {
        const { kubeConfig } = yield* ApiServer.ApiServer
        const connection = { _tag: "Yaml", yaml: kubeConfig } as const
        const options = { connection, namespace: "default", eras: 1, millis: 30_000, seed: 1 }
        const [era] = yield* Chaos.play({ ...options, way: "none" })
        assert.strictEqual(era?.lost, "Otherwise", JSON.stringify(era))
      }),
    120_000
  )
})
