/**
 * The proof that a value is refreshed exactly once: `npm run refresh-proof`, or with flags
 * `npm run refresh-proof -- --rounds 5000`. See `--help`.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Cause from "effect/Cause"
import * as CliConfig from "effect/cli/CliConfig"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as bench from "../flags.ts"
import { LoadError } from "../loadError.ts"
import * as RefreshProof from "./refreshProof.ts"

const whole = (name: string, range: readonly [min: number, max: number], description: string) =>
  Flag.String(name).pipe(
    Flag.filterMap(
      (text) => {
        const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
        return value >= range[0] && value <= range[1] ? Option.some(value) : Option.none()
      },
      () => `a whole number from ${range[0]} to ${range[1]}`
    ),
    Flag.withMetavar("N"),
    Flag.withDescription(description)
  )

const flags = {
  rounds: whole("rounds", [1, 1_000_000], "How many rotations (default 1000)").pipe(Flag.withDefault(1000)),
  threads: whole("threads", [0, 64], "Services in threads (default 4)").pipe(Flag.withDefault(4)),
  processes: whole("processes", [0, 64], "Services in processes of their own (default 0)").pipe(Flag.withDefault(0)),
  dex: Flag.Boolean("dex").pipe(
    Flag.withDefault(false),
    Flag.withDescription("Every second service refreshes as Dex does, on the same RefreshToken")
  ),
  noLock: Flag.Boolean("no-lock").pipe(
    Flag.withDefault(false),
    Flag.withDescription("The same services without a lock: the provider revokes the grant")
  ),
  json: Flag.Boolean("json").pipe(
    Flag.withDefault(false),
    Flag.withDescription("Print the verdict as one JSON object, the last line of standard output")
  ),
  kubeconfig: bench.flags.kubeconfig,
  context: bench.flags.context,
  namespace: bench.flags.namespace
}

const firstLine = (problem: unknown): string =>
  (problem instanceof Error ? problem.message : String(problem)).split("\n")[0]!

const inOneLine = Effect.catchCauseIf(
  (cause: Cause.Cause<unknown>) => !Cause.hasInterruptsOnly(cause),
  (cause) => {
    const message = firstLine(Cause.squash(cause))
    return Effect.andThen(Console.error(`error: ${message}`), new LoadError({ message }))
  }
)

const command = Command.make("npm run refresh-proof --", flags, ({ context, kubeconfig, namespace, noLock, ...rest }) =>
  inOneLine(
    rest.threads + rest.processes === 0
      ? new LoadError({ message: "there must be a thread or a process" })
      : Option.isSome(context) && Option.isNone(kubeconfig)
        ? new LoadError({ message: "--context needs --kubeconfig: without it an embedded server is used" })
        : RefreshProof.run({
            ...rest,
            lock: !noLock,
            kubeconfig: Option.getOrUndefined(
              Option.map(kubeconfig, (file) => ({
                _tag: "KubeConfig",
                file: file === "" ? undefined : file,
                context: Option.getOrUndefined(context)
              }))
            ),
            namespace: Option.getOrUndefined(namespace)
          })
  )
).pipe(
  Command.withDescription(
    "Services in threads and processes share one rotating refresh token of an OpenID provider; the provider's own log shows that each rotation was one refresh."
  ),
  Command.withExamples([
    {
      command: "npm run refresh-proof",
      description: "32 callers in 4 threads, 1000 rotations, an embedded API server"
    },
    { command: "npm run refresh-proof -- --no-lock", description: "Without the lock: revoked at once" },
    { command: "npm run refresh-proof -- --dex --processes 2", description: "Beside Dex, and in processes" },
    { command: "npm run refresh-proof -- --kubeconfig --namespace default", description: "On a cluster of yours" }
  ])
)

const presenter = CliOutput.layerPresenter({
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? Console.error(`error: ${firstLine(event.errors[0])} (see npm run refresh-proof -- --help)`)
      : CliOutput.defaultPresenter.present(event)
})

Command.runWith(command, { version: "0.1.0" })(bench.joined(process.argv.slice(2))).pipe(
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
