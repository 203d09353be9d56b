import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Envtest from "../../src/testing/envtest/Envtest.ts"
import { exercise, expected } from "../testing/clientNode/exercise.ts"
import { describeServers } from "./describeServers.ts"

describeServers(
  "@kubernetes/client-node",
  (server) =>
    it.live("sees on a real server what the test of the embedded server expects", () =>
      Effect.gen(function* () {
        const { kubeConfig } = yield* Envtest.start({ server, fsync: false })
        assert.deepStrictEqual(yield* Effect.promise(() => exercise(kubeConfig)), expected)
      })
    ),
  (server) => server === "kube-apiserver"
)
