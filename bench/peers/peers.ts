/** kubelock against its peers on real API servers: `npm run bench:peers`. See `--help`. */
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { examples, flags, type Given, toSettings } from "./flags.ts"
import type { Measurements } from "./measurements.ts"
import { page } from "./page.ts"
import * as program from "../../tools/program.ts"
import { LoadError } from "../../src/cli/bench/harness/loadError.ts"
import { draw } from "./plots.ts"
import { report } from "./report.ts"
import { run } from "./run.ts"

const docs = join(import.meta.dirname, "../../docs")

const writePage = Effect.fnUntraced(function* (measurements: Measurements) {
  const plots = yield* Effect.promise(() => draw(measurements))
  mkdirSync(join(docs, "benchmarks"), { recursive: true })
  for (const { file, svg } of plots) writeFileSync(join(docs, file), `${svg}\n`)
  writeFileSync(join(docs, "benchmarks.md"), page(measurements, plots))
  yield* Console.error(`wrote docs/benchmarks.md and ${plots.length} plots`)
})

const read = (file: string): Effect.Effect<Measurements, LoadError> =>
  Effect.try({
    try: () => JSON.parse(readFileSync(file, "utf8")) as Measurements,
    catch: (cause) => new LoadError({ message: `${file}: ${cause instanceof Error ? cause.message : String(cause)}` })
  })

const bench = Effect.fnUntraced(function* (given: Given) {
  if (Option.isSome(given.page)) return yield* writePage(yield* read(given.page.value))
  const measurements = yield* run(toSettings(given))
  if (Option.isSome(given.json)) writeFileSync(given.json.value, `${JSON.stringify(measurements, rounded)}\n`)
  yield* Console.log(report(measurements))
  if (!given.quick) yield* writePage(measurements)
  const overlaps = overlapsOf(measurements)
  if (overlaps > 0) return yield* new LoadError({ message: `mutual exclusion was broken ${overlaps} times` })
})

/** Rounds figures to four significant digits. */
const rounded = (_: string, value: unknown): unknown =>
  typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value

/** Overlaps of kubelock. Those of its peers are only figures. */
const overlapsOf = ({ servers }: Measurements): number =>
  servers
    .flatMap(({ cells, hold }) => [...cells, ...hold])
    .filter(({ kind }) => kind === "kubelock")
    .flatMap(({ rounds }) => rounds)
    .reduce((total, { overlaps }) => total + overlaps, 0)

const command = Command.make("npm run bench:peers --", flags, bench).pipe(
  Command.withDescription(
    "Measures kubelock against Dex's protocol, Lease locks and raw writes, on the real API servers in KUBEBUILDER_ASSETS."
  ),
  Command.withExamples(examples)
)

program.run(command, process.argv.slice(2))
