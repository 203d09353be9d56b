/**
 * `npm run record`: sends the conversations to real API servers and writes down what they answer, for
 * `test/testing/conversations.test.ts`. It needs the binaries of `KUBEBUILDER_ASSETS`.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import { writeFileSync } from "node:fs"
import * as Envtest from "../../../src/testing/envtest/Envtest.ts"
import { converse } from "./converse.ts"
import { file, sendTo, talks } from "./talks.ts"

const record = Effect.forEach(talks, ({ server, steps }) =>
  Effect.scoped(
    Effect.gen(function* () {
      const api = yield* Envtest.start({ server, fsync: false })
      const answers = yield* converse(steps, sendTo(api))
      writeFileSync(file(server), `${JSON.stringify({ version: api.version, answers }, null, 1)}\n`)
    })
  )
)

NodeRuntime.runMain(record)
