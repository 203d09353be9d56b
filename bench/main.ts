/**
 * The load tester: `npm start`, or with flags `npm start -- --duration 30s`.
 *
 * Threads full of fibers contend for the lock of one object, on an embedded API server or on a cluster. That they exclude
 * each other is proved in shared memory. See `--help`.
 */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as flags from "./flags.ts"
import * as LoadTest from "./loadTest.ts"
import { prefix } from "./objects.ts"
import { inOneLine, run } from "./program.ts"

const command = Command.make("npm start --", flags.flags, (given) =>
  inOneLine(Effect.flatMap(flags.toSettings(given), LoadTest.run))
).pipe(
  Command.withDescription(
    "Makes threads full of fibers contend for a lock, proves that they exclude each other, and measures how well they do."
  ),
  Command.withExamples(flags.examples)
)

// The first Ctrl-C ends the test and cleans up, a second one does not wait for that.
let interrupts = 0
process.on("SIGINT", () => {
  interrupts++
  if (interrupts === 1) return
  process.stderr.write(`\nEnded without cleaning up: objects named ${prefix}... may be left on the cluster.\n`)
  process.exit(130)
})

run(command, flags.joined(process.argv.slice(2)))
