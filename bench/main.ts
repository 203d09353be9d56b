/**
 * The load tester: `npm start`, or with flags `npm start -- --duration 30s`.
 *
 * Threads full of fibers contend for the lock of one object, on an embedded API server or on a cluster. That they exclude
 * each other is proved in shared memory. See `--help`.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Cause from "effect/Cause"
import * as CliConfig from "effect/cli/CliConfig"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as flags from "./flags.ts"
import { LoadError } from "./loadError.ts"
import * as LoadTest from "./loadTest.ts"
import { prefix } from "./objects.ts"

const firstLine = (problem: unknown): string =>
  (problem instanceof Error ? problem.message : String(problem)).split("\n")[0]!

// A load test fails with one line, whatever went wrong.
const inOneLine = Effect.catchCauseIf(
  (cause: Cause.Cause<unknown>) => !Cause.hasInterruptsOnly(cause),
  (cause) => {
    const message = firstLine(Cause.squash(cause))
    return Effect.andThen(Console.error(`error: ${message}`), new LoadError({ message }))
  }
)

const command = Command.make("npm start --", flags.flags, (given) =>
  inOneLine(Effect.flatMap(flags.toSettings(given), LoadTest.run))
).pipe(
  Command.withDescription(
    "Makes threads full of fibers contend for a lock, proves that they exclude each other, and measures how well they do."
  ),
  Command.withExamples(flags.examples)
)

// A wrong invocation is one line as well; the help is for those who ask for it.
const presenter = CliOutput.layerPresenter({
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? Console.error(`error: ${firstLine(event.errors[0])} (see npm start -- --help)`)
      : CliOutput.defaultPresenter.present(event)
})

// The first Ctrl-C ends the test and cleans up, a second one does not wait for that.
let interrupts = 0
process.on("SIGINT", () => {
  interrupts++
  if (interrupts === 1) return
  process.stderr.write(`\nEnded without cleaning up: objects named ${prefix}... may be left on the cluster.\n`)
  process.exit(130)
})

Command.runWith(command, { version: "0.1.0" })(flags.joined(process.argv.slice(2))).pipe(
  Effect.provide(
    Layer.mergeAll(
      NodeServices.layer,
      presenter,
      CliConfig.layer({ builtIns: [GlobalFlag.Help] }),
      Layer.succeed(Logger.LogToStderr, true)
    )
  ),
  NodeRuntime.runMain
)
