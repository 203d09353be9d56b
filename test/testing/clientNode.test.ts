import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as ApiServer from "../../src/testing/ApiServer.ts"
import { exercise, expected } from "./clientNode/exercise.ts"

describe("@kubernetes/client-node", () => {
  it.live("sees on the embedded server what it sees on a real one: typed APIs, Watch, informer, custom objects", () =>
    Effect.gen(function* () {
      const { kubeConfig } = yield* ApiServer.ApiServer
      assert.deepStrictEqual(yield* Effect.promise(() => exercise(kubeConfig)), expected)
    }).pipe(Effect.provide(ApiServer.layer()))
  )
})
