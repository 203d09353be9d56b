/**
 * `npm run soak -- --minutes 60`: hours in the life of a process. See `--help`.
 *
 * Services come and go and contend for many locks, credentials rotate, connections are cut, and two API servers are restarted
 * in turn. Memory, sockets, timers, files and fibers are sampled, and must not grow.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { spawn } from "node:child_process"
import { appendFileSync, writeFileSync } from "node:fs"
import * as Os from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { parse, stringify } from "yaml"
import { EnvtestError } from "../../src/testing/envtest/EnvtestError.ts"
import { number, whole } from "../../tools/flags.ts"
import { run } from "../../tools/program.ts"
import { counted } from "../../src/cli/bench/harness/text.ts"
import * as Cluster from "../chaos/cluster.ts"
import { type Line, type Quantity, trends, warmUp } from "./samples.ts"

/** Tokens of one user. The API server knows all of them, and the process reads the next one from the file. */
const tokens = Array.from({ length: 100 }, (_, index) => `soak-token-${index}`)

const soak = Effect.fnUntraced(function* (minutes: number, seed: number, keep: (line: string) => void) {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "kubelock-soak-" })
  const file = (name: string, text: string) => {
    const path = join(directory, name)
    writeFileSync(path, text, { mode: 0o600 })
    return path
  }
  const known = file("tokens.csv", tokens.map((token) => `${token},soak,soak,"system:masters"\n`).join(""))
  const cluster = yield* Cluster.start({ members: 1, servers: 2, serverFlags: () => [`--token-auth-file=${known}`] })

  let token = 0
  const tokenFile = file("token", tokens[token]!)
  const { users, ...rest } = parse(cluster.site.kubeConfig) as { users: ReadonlyArray<{ name: string }> }
  const kubeconfig = file("kubeconfig", stringify({ ...rest, users: [{ name: users[0]!.name, user: { tokenFile } }] }))

  const lines: Array<Line> = []
  const worker = spawn(
    process.execPath,
    ["--expose-gc", join(import.meta.dirname, "worker.ts"), kubeconfig, String(seed)],
    { stdio: ["ignore", "pipe", "inherit"] }
  )
  cluster.site.guard.watch(worker.pid!)
  const ended = new Promise((resolve) => worker.once("exit", resolve))
  createInterface(worker.stdout).on("line", (line) => {
    keep(line)
    lines.push(JSON.parse(line) as Line)
  })
  yield* Effect.addFinalizer(() => Effect.sync(() => worker.kill("SIGKILL")))

  const faults = { "connections cut": 0, "API servers restarted": 0, "credentials rotated": 0 }
  const trouble = Effect.gen(function* () {
    for (let round = 0; ; round++) {
      yield* Effect.sleep("20 seconds")
      yield* cluster.balancer.cut
      faults["connections cut"]++
      yield* Effect.sleep("20 seconds")
      const { process, ready } = cluster.servers[round % 2]!
      yield* process.stop(round % 4 < 2 ? "SIGTERM" : "SIGKILL")
      yield* process.start
      yield* ready
      faults["API servers restarted"]++
      yield* Effect.sleep("20 seconds")
      writeFileSync(tokenFile, tokens[++token % tokens.length]!)
      faults["credentials rotated"]++
    }
  })
  const gone = Effect.flatMap(
    Effect.promise(() => ended),
    (status) => Effect.fail(new EnvtestError({ step: "soak", detail: `the process ended with ${String(status)}` }))
  )
  const played = yield* trouble.pipe(Effect.raceFirst(gone), Effect.timeoutOption(minutes * 60_000), Effect.result)
  worker.kill("SIGTERM")
  yield* Effect.promise(() => ended)
  const failures = Result.isFailure(played) ? [played.failure.message] : []
  return { lines, faults, version: cluster.version, failures }
}, Effect.scoped)

/** What must be left at most once everything is closed: standard streams, and the timer of the last sample. */
const leftAtMost: Partial<Record<Quantity, number>> = { sockets: 0, timers: 2, fibers: 4 }

const problemsOf = (lines: ReadonlyArray<Line>): ReadonlyArray<string> => {
  const last = lines.at(-1)
  if (last?.isLast !== true) return ["the process did not close everything"]
  const left = (Object.entries(leftAtMost) as ReadonlyArray<[Quantity, number]>).filter(
    ([quantity, most]) => last.sample[quantity] > most
  )
  return [
    ...trends(running(lines)).flatMap(({ isGrowing, quantity }) => (isGrowing ? [`${quantity} grows`] : [])),
    ...left.map(([quantity]) => `${last.sample[quantity]} ${quantity} are left after everything was closed`),
    ...(last.counts.violations === 0 ? [] : [`exclusion was broken ${last.counts.violations} times`]),
    ...(last.counts.reuses === 0 ? [] : [`${last.counts.reuses} values of the token were spent twice`])
  ]
}

const running = (lines: ReadonlyArray<Line>) => lines.flatMap(({ isLast, sample }) => (isLast ? [] : [sample]))

const amount = (quantity: Quantity, value: number): string =>
  quantity === "heap" || quantity === "external" || quantity === "rss"
    ? `${(value / 2 ** 20).toFixed(2)} MiB`
    : value.toFixed(1)

const format = (lines: ReadonlyArray<Line>): string => {
  const last = lines.at(-1)!
  const rows = trends(running(lines)).map(({ growth, isGrowing, median, quantity }) =>
    [
      `  ${quantity.padEnd(10)}`,
      amount(quantity, median).padStart(12),
      amount(quantity, growth).padStart(12),
      amount(quantity, last.sample[quantity]).padStart(12),
      isGrowing ? "  GROWS" : ""
    ].join("")
  )
  return [
    `  ${"".padEnd(10)}${"median".padStart(12)}${"growth".padStart(12)}${"at the end".padStart(12)}`,
    ...rows
  ].join("\n")
}

const command = Command.make(
  "npm run soak --",
  {
    minutes: number("minutes", [1, 10_000], "How long (default 60)").pipe(Flag.withDefault(60)),
    seed: whole("seed", [0, 2 ** 31 - 1], "Decides what the services do (default 1)").pipe(Flag.withDefault(1)),
    record: Flag.String("record").pipe(
      Flag.optional,
      Flag.withMetavar("FILE"),
      Flag.withDescription("Append a line of JSON for each sample")
    )
  },
  Effect.fnUntraced(function* ({ minutes, record, seed }) {
    const { failures, faults, lines, version } = yield* soak(minutes, seed, (line) => {
      if (Option.isSome(record)) appendFileSync(record.value, `${line}\n`)
    })
    const last = lines.at(-1)
    if (last === undefined)
      return yield* new EnvtestError({ step: "soak", detail: ["no samples", ...failures].join("; ") })
    const list = (all: Readonly<Record<string, number>>) =>
      Object.entries(all)
        .map(([what, count]) => `${what} ${count}`)
        .join(", ")
    yield* Console.log(
      [
        "",
        `a soak of ${counted(minutes, "minute")} on kube-apiserver ${version}, Node.js ${process.version}, ${counted(Os.availableParallelism(), "core")}, seed ${seed}`,
        "",
        `  ${list(last.counts)}`,
        `  ${list(faults)}`,
        "",
        `${counted(running(lines).length, "sample")}; growth from ${warmUp * 100} % of the time on`,
        format(lines),
        ""
      ].join("\n")
    )
    const problems = [...failures, ...problemsOf(lines)]
    if (problems.length > 0) return yield* new EnvtestError({ step: "soak", detail: problems.join("; ") })
  }, Effect.provide(NodeServices.layer))
).pipe(
  Command.withDescription(
    "Services come and go and contend for locks on real API servers (KUBEBUILDER_ASSETS) that are restarted; memory, sockets, timers and fibers must not grow."
  ),
  Command.withExamples([{ command: "npm run soak -- --minutes 20" }])
)

run(command, process.argv.slice(2))
