/** Runs the programs of this repository: `--help`, one line for each problem, logs on standard error, exit codes. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as CliConfig from "effect/cli/CliConfig"
import * as Command from "effect/cli/Command"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Runtime from "effect/Runtime"
import { join } from "node:path"
import * as complaint from "../src/cli/complaint.ts"

/**
 * Runs a command with these arguments. Its name is how it is invoked: `npm start --`.
 *
 * An error or a defect is one line on standard error, unless the error says that it is not to be reported
 * (`Runtime.errorReported`). The first SIGINT or SIGTERM interrupts the command, and the exit code is then 130 or 143.
 */
export const run = <Name extends string, Input, E>(
  command: Command.Command<Name, Input, unknown, E, NodeServices.NodeServices>,
  args: ReadonlyArray<string>
): void => {
  // With compiled code at hand, threads and processes start in little more than half the time.
  process.env["NODE_COMPILE_CACHE"] ??= join(import.meta.dirname, "../node_modules/.cache/node")
  Command.runWith(command, { version: "0.1.0" })(args).pipe(
    Effect.tapCause(complaint.report(say)),
    Effect.provide(
      Layer.mergeAll(
        NodeServices.layer,
        complaint.presenter(say),
        CliConfig.layer({ builtIns: [GlobalFlag.Help] }),
        Layer.succeed(Logger.LogToStderr, true)
      )
    ),
    NodeRuntime.runMain({ disableErrorReporting: true, teardown: teardown() })
  )
}

const say: complaint.Say = (text) => Console.error(`error: ${text}`)

/** The exit code of an interrupted program names the signal. Effect's own is 130 for both. */
const teardown = (): Runtime.Teardown => {
  let interrupted: number | undefined
  process.once("SIGINT", () => (interrupted ??= 130))
  process.once("SIGTERM", () => (interrupted ??= 143))
  return (exit, onExit) =>
    Runtime.defaultTeardown(exit, (code) => afterOutput(() => onExit(code === 130 ? (interrupted ?? code) : code)))
}

/** What was written into a pipe may still be on its way, and an exit would cut it off. */
const afterOutput = (then: () => void): void => {
  process.stdout.write("", () => process.stderr.write("", then))
}
