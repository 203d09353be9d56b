/**
 * What kubelock costs before it does anything: `npm run bench:startup`. See `--help`.
 *
 * Each import runs in processes of its own, one after the other in turns, because a machine is not equally fast all the time.
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { execFile } from "node:child_process"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { build } from "../tools/package.ts"
import { whole } from "../tools/flags.ts"
import { run } from "../tools/program.ts"
import { median } from "./harness/statistics.ts"
import { columns } from "./harness/text.ts"

const root = join(import.meta.dirname, "..")
// The compiled package, inside the repository, where its dependencies are found.
const built = join(root, "node_modules/.cache/kubelock-startup")

const service = ["effect/Schema", "effect/Stream"]
const imports: ReadonlyArray<readonly [name: string, modules: ReadonlyArray<string>]> = [
  ["nothing", []],
  ["effect/Effect", ["effect/Effect"]],
  [service.join(" and "), service],
  ["kubelock/Lock", [join(built, "Lock.js")]],
  ["kubelock", [join(built, "index.js")]],
  ["kubelock, and undici for its first client", [join(built, "index.js"), "undici/index.js"]]
]

interface Sample {
  readonly cpuMillis: number
  readonly millis: number
  readonly megabytes: number
}

const exec = promisify(execFile)

const sample = (modules: ReadonlyArray<string>) =>
  Effect.map(
    Effect.tryPromise(() =>
      exec(process.execPath, ["--input-type=module", "-e", program(modules)], { cwd: root, env: withoutCache })
    ),
    ({ stdout }) => JSON.parse(stdout) as Sample
  )

// A service in a container starts without compiled code of an earlier start.
const { NODE_COMPILE_CACHE: _, ...withoutCache } = process.env

const program = (modules: ReadonlyArray<string>) => `
  const [began, cpu] = [performance.now(), process.cpuUsage()]
  for (const one of ${JSON.stringify(modules)}) await import(one)
  const { system, user } = process.cpuUsage(cpu)
  const millis = performance.now() - began
  console.log(JSON.stringify({ millis, cpuMillis: (system + user) / 1000, megabytes: process.memoryUsage.rss() / 1e6 }))`

const measure = Effect.fnUntraced(function* (rounds: number) {
  yield* Effect.promise(() => build(built))
  // As in the package: without it, Node would look into each file for what it is.
  writeFileSync(join(built, "package.json"), JSON.stringify({ type: "module" }))
  const samples = imports.map((): Array<Sample> => [])
  for (let round = 0; round < rounds; round++) {
    for (const [index, [, modules]] of imports.entries()) samples[index]!.push(yield* sample(modules))
  }
  const middle = (index: number, read: (one: Sample) => number) => median(samples[index]!.map(read)) ?? 0
  const base = imports.findIndex(([, modules]) => modules === service)
  const rows = imports.map(([name], index) => [
    name,
    `${middle(index, ({ cpuMillis }) => cpuMillis).toFixed(0)} ms`,
    `${middle(index, ({ millis }) => millis).toFixed(0)} ms`,
    `${middle(index, ({ megabytes }) => megabytes).toFixed(0)} MB`,
    `x ${(middle(index, ({ cpuMillis }) => cpuMillis) / middle(base, ({ cpuMillis }) => cpuMillis)).toFixed(2)}`
  ])
  yield* Console.log(columns([["import", "CPU", "time", "memory", "CPU ratio"], ...rows], 1).join("\n"))
})

const command = Command.make(
  "npm run bench:startup --",
  {
    rounds: whole("rounds", [1, 1000], "How often each import is measured; the median counts (default 15)").pipe(
      Flag.withDefault(15)
    )
  },
  ({ rounds }) => measure(rounds)
).pipe(
  Command.withDescription(
    `Measures what importing kubelock costs, beside the modules of Effect that any service imports. The ratio is to ${service.join(" and ")}.`
  ),
  Command.withExamples([{ command: "npm run bench:startup" }])
)

run(command, process.argv.slice(2))
