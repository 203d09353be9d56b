/** Runs the command line: data on standard output, everything else on standard error, one line for each problem, exit codes. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Cause from "effect/Cause"
import * as CliConfig from "effect/cli/CliConfig"
import * as CliError from "effect/cli/CliError"
import * as Command from "effect/cli/Command"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import * as Runtime from "effect/Runtime"
import * as complaint from "./complaint.ts"
import { completions } from "./completions.ts"
import { Ended, exitCodes } from "./exitCodes.ts"
import * as signals from "./signals.ts"
import { version } from "./version.ts"

/** Runs a command with these arguments. */
export const run = <Name extends string, Input, E>(
  command: Command.Command<Name, Input, unknown, E, NodeServices.NodeServices>,
  args: ReadonlyArray<string>
): void => {
  process.stdout.on("error", onClosedOutput)
  Command.runWith(command, { version: "" })(args).pipe(
    Effect.tapCause(complaint.report(say)),
    Effect.provide(
      Layer.mergeAll(
        NodeServices.layer,
        complaint.presenter(say, (path) => (isWithoutDashes(path, args) ? forgottenDashes : undefined)),
        CliConfig.layer({ builtIns: [GlobalFlag.Help, version, completions] }),
        Logger.layer([logger]),
        Layer.succeed(References.MinimumLogLevel, "Warn")
      )
    ),
    runMain({ disableErrorReporting: true, teardown })
  )
}

/** Says something on standard error. */
export const say = (text: string): Effect.Effect<void> => Console.error(`kubelock: ${text}`)

const isWithoutDashes = (commandPath: ReadonlyArray<string>, args: ReadonlyArray<string>): boolean =>
  ["run", "renew"].includes(commandPath.at(-1) ?? "") && !args.includes("--")

const forgottenDashes = "If it is for the command that is to run, put -- before that command"

const logger = Logger.withConsoleError(
  Logger.make(({ message }) => {
    const parts = Array.isArray(message) ? message : [message]
    return `kubelock: ${parts.map(complaint.of).join(" ")}`
  })
)

const runMain = Runtime.makeRunMain(({ fiber, teardown }) => {
  signals.interruptWith(() => fiber.interruptUnsafe(fiber.id))
  fiber.addObserver((exit) => teardown(exit, end))
})

const teardown: Runtime.Teardown = (exit, onExit) => {
  if (Exit.isSuccess(exit)) return onExit(0)
  if (Cause.hasInterruptsOnly(exit.cause)) return onExit(signals.exitCode())
  return onExit(codeOf(Cause.squash(exit.cause)))
}

const codeOf = (problem: unknown): number => {
  if (problem instanceof Ended) return problem.code
  if (CliError.isCliError(problem)) {
    return problem._tag === "ShowHelp" && problem.errors.length === 0 ? 0 : exitCodes.usage
  }
  return isTagged(problem) ? (codes[problem._tag] ?? exitCodes.api) : 1
}

const codes: Readonly<Record<string, number>> = {
  LoadError: 1,
  LockInvalidName: exitCodes.usage,
  LockConflict: exitCodes.notHad,
  LockTimeout: exitCodes.notHad,
  LockLost: exitCodes.lost
}

const isTagged = (problem: unknown): problem is { readonly _tag: string } =>
  typeof problem === "object" && problem !== null && "_tag" in problem && typeof problem._tag === "string"

// Output to a pipe may be on its way.
const end = (code: number): void => {
  process.stdout.write("", () => process.exit(code))
}

// As if SIGPIPE had ended the program, which Node ignores.
const onClosedOutput = (error: Error & { readonly code?: string }): void => {
  process.exit(error.code === "EPIPE" ? 141 : exitCodes.api)
}
