/**
 * Runs worlds from the command line: `npm run simulate -- --seeds 1000 --from 1`.
 *
 * Prints how many seeds a second it ran. At the first world that breaks a rule: its seed, the rule and the history, and
 * the exit code is 1.
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import { whole } from "../../tools/flags.ts"
import * as program from "../../tools/program.ts"
import { counted } from "../../src/cli/bench/harness/text.ts"
import { kinds, report, runSeed } from "./run.ts"

class RuleBroken extends Data.TaggedError("RuleBroken") {
  override readonly [Runtime.errorExitCode] = 1
  override readonly [Runtime.errorReported] = false
}

const command = Command.make(
  "npm run simulate --",
  {
    seeds: whole("seeds", [1, 1e9], "How many worlds to run (default 1000)").pipe(Flag.withDefault(1000)),
    kind: Flag.Literals("kind", kinds).pipe(
      Flag.withDescription("What the worlds are about"),
      Flag.withDefault("locks")
    ),
    from: whole("from", [0, 1e15], "The seed of the first (default 1)").pipe(Flag.withDefault(1))
  },
  Effect.fnUntraced(function* ({ from, kind, seeds }) {
    const began = yield* Clock.monotonicTimeNanos
    for (let seed = from; seed < from + seeds; seed++) {
      const outcome = yield* runSeed(seed, {}, kind)
      if (outcome.violations.length > 0) {
        yield* Console.error(report(outcome))
        return yield* new RuleBroken()
      }
    }
    const seconds = Number((yield* Clock.monotonicTimeNanos) - began) / 1e9
    yield* Console.log(
      `${counted(seeds, "seed")} from ${from}: no rule broken, ${(seeds / seconds).toFixed(1)} seeds a second.`
    )
  })
).pipe(
  Command.withDescription(
    "Runs deterministic worlds full of faults, and checks the lock's promises in each, or those of elections, permits or sessions."
  ),
  Command.withExamples([
    { command: "npm run simulate -- --seeds 5000 --from 1000", description: "Worlds that npm test does not run" },
    { command: "npm run simulate -- --kind elections", description: "Elections beside client-go" },
    { command: "npm run simulate -- --kind permits", description: "Semaphores and shared locks" },
    { command: "npm run simulate -- --kind sessions", description: "Locks on two objects, under sessions" },
    { command: "npm run simulate -- --from 4711 --seeds 1", description: "One world again, the same to the byte" }
  ])
)

program.run(command, process.argv.slice(2))
