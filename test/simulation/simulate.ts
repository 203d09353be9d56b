/**
 * Runs worlds from the command line: `npm run simulate -- --seeds 1000 --from 1`.
 *
 * Prints how many seeds a second it ran. At the first world that breaks a rule: its seed, the rule and the history, and
 * the exit code is 1.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as CliConfig from "effect/cli/CliConfig"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import { report, runSeed } from "./run.ts"

class RuleBroken extends Data.TaggedError("RuleBroken") {
  override readonly [Runtime.errorExitCode] = 1
  override readonly [Runtime.errorReported] = false
}

const whole = (name: string, min: number, byDefault: number, description: string) =>
  Flag.String(name).pipe(
    Flag.filterMap(
      (text) => {
        const value = /^\d{1,15}$/.test(text) ? Number(text) : -1
        return value >= min ? Option.some(value) : Option.none()
      },
      (text) => `--${name} must be a whole number of at least ${min}, got ${JSON.stringify(text)}`
    ),
    Flag.withMetavar("N"),
    Flag.withDescription(`${description} (default ${byDefault})`),
    Flag.withDefault(byDefault)
  )

const command = Command.make(
  "npm run simulate --",
  {
    seeds: whole("seeds", 1, 1000, "How many worlds to run"),
    from: whole("from", 0, 1, "The seed of the first")
  },
  Effect.fnUntraced(function* ({ from, seeds }) {
    const began = yield* Clock.monotonicTimeNanos
    for (let seed = from; seed < from + seeds; seed++) {
      const outcome = yield* runSeed(seed)
      if (outcome.violations.length > 0) {
        yield* Console.error(report(outcome))
        return yield* new RuleBroken()
      }
    }
    const seconds = Number((yield* Clock.monotonicTimeNanos) - began) / 1e9
    yield* Console.log(`${seeds} seeds from ${from}: no rule broken, ${(seeds / seconds).toFixed(1)} seeds a second.`)
  })
).pipe(Command.withDescription("Runs deterministic worlds full of faults, and checks the lock's promises in each."))

// A wrong invocation is one line; the help is for those who ask for it.
const presenter = CliOutput.layerPresenter({
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? Console.error(
          `error: ${event.errors.map(({ message }) => message).join("; ")} (see npm run simulate -- --help)`
        )
      : CliOutput.defaultPresenter.present(event)
})

Command.run(command, { version: "0.1.0" }).pipe(
  Effect.provide(Layer.mergeAll(NodeServices.layer, presenter, CliConfig.layer({ builtIns: [GlobalFlag.Help] }))),
  NodeRuntime.runMain
)
