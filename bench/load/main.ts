/**
 * The load tester: `npm start`, or with flags `npm start -- --duration 30s`. See `--help`.
 *
 * Threads full of fibers contend for the lock of one object, on an embedded API server or on a cluster. Shared memory
 * proves that they exclude each other.
 */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import { joined } from "../../tools/clusterFlags.ts"
import { run } from "../../tools/program.ts"
import { prefix } from "../../src/cli/bench/harness/objects.ts"
import * as Target from "../harness/target.ts"
import * as flags from "./flags.ts"
import * as LoadTest from "../../src/cli/bench/load/loadTest.ts"

const command = Command.make("npm start --", flags.flags, (given) =>
  Effect.flatMap(flags.toSettings(given), ({ settings, target }) => LoadTest.run(settings, Target.open(target)))
).pipe(
  Command.withDescription(
    "Makes threads full of fibers contend for a lock, proves that they exclude each other, and measures how well they do."
  ),
  Command.withExamples(flags.examples)
)

// The first signal ends the test and cleans up. A second one does not wait for that.
let signals = 0
for (const [signal, exitCode] of [
  ["SIGINT", 130],
  ["SIGTERM", 143]
] as const) {
  process.on(signal, () => {
    signals++
    if (signals === 1) return
    process.stderr.write(`\nEnded without cleaning up: objects named ${prefix}... may be left on the cluster.\n`)
    process.exit(exitCode)
  })
}

run(command, joined(process.argv.slice(2)))
