/**
 * `npm run record`: sends the conversations to real API servers and writes down what they answer, for
 * `test/testing/conversations.test.ts`. It needs the binaries of `KUBEBUILDER_ASSETS`.
 */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import { writeFileSync } from "node:fs"
import * as Envtest from "../../../src/testing/envtest/Envtest.ts"
import { run } from "../../../tools/program.ts"
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

const command = Command.make("npm run record --", {}, () => record).pipe(
  Command.withDescription(
    "Asks the real API servers of KUBEBUILDER_ASSETS what the embedded one must answer, and writes it down."
  ),
  Command.withExamples([{ command: "npm run record", description: "After a new step in test/testing/conversations" }])
)

run(command, process.argv.slice(2))
