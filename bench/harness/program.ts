/** Runs the programs of the benchmarks: `--help`, one line for each problem, logs on standard error. */
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
import { LoadError } from "./loadError.ts"

/** Makes a program fail with one line, for errors and defects alike. */
export const inOneLine = Effect.catchCauseIf(
  (cause: Cause.Cause<unknown>) => !Cause.hasInterruptsOnly(cause),
  (cause) => {
    const message = firstLine(Cause.squash(cause))
    return Effect.andThen(Console.error(`error: ${message}`), new LoadError({ message }))
  }
)

const firstLine = (problem: unknown): string =>
  (problem instanceof Error ? problem.message : String(problem)).split("\n")[0]!

/** Runs a command with these arguments. Its name is how it is invoked: `npm start --`. A wrong invocation is one line. */
export const run = <Name extends string, Input, E>(
  command: Command.Command<Name, Input, unknown, E, NodeServices.NodeServices>,
  args: ReadonlyArray<string>
): void => {
  const presenter = CliOutput.layerPresenter({
    present: (event) =>
      event._tag === "InvalidInvocation"
        ? Console.error(`error: ${firstLine(event.errors[0])} (see ${command.name} --help)`)
        : CliOutput.defaultPresenter.present(event)
  })
  Command.runWith(command, { version: "0.1.0" })(args).pipe(
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
}
