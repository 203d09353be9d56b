/**
 * `npm run test:go`: elections beside the real client-go on a real API server.
 *
 * It needs `KUBEBUILDER_ASSETS`, and gets Go and client-go from Debian (`build`). Where they are not to be had it says so in one
 * line and ends with 0.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as ChildProcess from "effect/process/ChildProcess"
import * as Stream from "effect/Stream"
import { join } from "node:path"
import * as Envtest from "../../src/testing/envtest/Envtest.ts"
import * as Guard from "../../src/testing/envtest/Guard.ts"
import { toggle, whole } from "../../tools/flags.ts"
import { run } from "../../tools/program.ts"
import * as Faketime from "../chaos/faketime.ts"
import { type Kind, kinds } from "./candidate.ts"
import * as figures from "./figures.ts"
import { problems } from "./judge.ts"
import * as report from "./report.ts"
import { longestOverlap, type Scenario, scenarios, timings } from "./scenarios.ts"
import { type House, play } from "./stage.ts"

/** What a program prints, and its exit code. */
const outputOf = Effect.fnUntraced(function* (program: string, ...args: ReadonlyArray<string>) {
  const running = yield* ChildProcess.make(program, args, { stdin: "ignore", stderr: "inherit" })
  const text = yield* Stream.mkString(Stream.decodeText(running.stdout))
  return { text: text.trim(), status: Number(yield* running.exitCode) }
})

/** The binary of the elector, or nothing if it cannot be built here. */
const build = Effect.gen(function* () {
  const { status, text } = yield* outputOf(join(import.meta.dirname, "build"))
  if (status === 0) return Option.some(text)
  if (status === unavailable) return Option.none<string>()
  return yield* Effect.fail(new Error(`test/go/build ended with ${status}`))
})

// The exit code of `build` where Go is not to be had.
const unavailable = 69

const house = Effect.fnUntraced(function* (elector: string) {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "kubelock-go-" })
  const guard = yield* Guard.make(directory)
  const api = yield* Envtest.start({ server: "kube-apiserver" })
  return { api, directory, elector, guard } satisfies House
})

/** Both directions. */
const pairsWith = (kind: Kind): ReadonlyArray<readonly [Kind, Kind]> =>
  kind === "go"
    ? [["go", "go"]]
    : [
        ["go", kind],
        [kind, "go"]
      ]

const playAll = Effect.fnUntraced(function* (house: House, beside: Kind, only: ReadonlyArray<Scenario>) {
  const plays = pairsWith(beside).flatMap(([first, second]) => only.map((scenario) => ({ first, second, scenario })))
  const broken = yield* Effect.forEach(
    plays,
    Effect.fnUntraced(function* ({ first, scenario, second }, index) {
      const seen = yield* play(
        house,
        {
          lease: `${first}-${second}-${index}`,
          timings,
          leadsOn: (kind) => longestOverlap(scenario, kind),
          writes: true
        },
        (stage) => scenario.act(stage, first, second)
      )
      yield* Console.log(report.scenario(scenario.name, first, second, seen))
      return problems(seen).length > 0
    }),
    // Two cores can run an API server and some ten candidates.
    { concurrency: 3 }
  )
  const failed = broken.filter((one) => one).length
  yield* Console.log(`\n${broken.length - failed} passed, ${failed} failed`)
  if (failed > 0) process.exitCode = 1
})

const measure = Effect.fnUntraced(function* (house: House, beside: Kind, seconds: number) {
  const { handOvers, unmet } = yield* figures.handOvers(house, ["go", beside])
  yield* Console.log(`\nDefault timings (15, 10 and 2 s). How long nobody led: least, median, most.`)
  yield* Console.log([...report.handOvers(handOvers), ...unmet].join("\n"))
  for (const kind of new Set<Kind>(["go", beside])) {
    yield* Console.log((yield* figures.requests(house, kind, seconds)).join("\n"))
  }
})

const command = Command.make(
  "npm run test:go --",
  {
    beside: Flag.Literals("beside", kinds).pipe(
      Flag.withDefault("ours" as const),
      Flag.withDescription(
        "What contends with client-go: this library, the model of client-go, or client-go itself (default ours)"
      )
    ),
    only: Flag.String("only").pipe(
      Flag.optional,
      Flag.withMetavar("TEXT"),
      Flag.withDescription("Play only the scenarios with this text in their names")
    ),
    figures: toggle("figures", "Measure hand-overs and requests with default timings instead; takes some minutes"),
    seconds: whole("seconds", [1, 36_000], "For how many seconds to count requests (default 60)").pipe(
      Flag.withDefault(60)
    )
  },
  ({ beside, figures, only, seconds }) =>
    Effect.gen(function* () {
      const chosen = scenarios.filter(({ name }) => name.includes(Option.getOrElse(only, () => "")))
      if (chosen.length === 0) return yield* Effect.fail(new Error("no scenario has such a name"))
      yield* Envtest.assets
      const elector = yield* build
      if (Option.isNone(elector)) {
        yield* Console.log(
          "######## NOT RUN: the elections beside client-go. Go is not to be had here (Debian has it). ########"
        )
        return
      }
      const version = yield* outputOf(elector.value, "--version")
      const its = yield* house(elector.value)
      yield* Console.log(`client-go ${version.text} on kube-apiserver ${its.api.version}`)
      if (Faketime.library === undefined && beside !== "go") {
        yield* Console.log(
          "libfaketime is not installed: only the clocks of client-go are wrong (Debian: apt-get install faketime)"
        )
      }
      yield* figures ? measure(its, beside, seconds) : playAll(its, beside, chosen)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
).pipe(
  Command.withDescription(
    "Elections beside the real client-go on a real API server (KUBEBUILDER_ASSETS): leaders that release, are killed, suspended and cut off, with wrong clocks."
  ),
  Command.withExamples([{ command: "npm run test:go -- --beside go" }, { command: "npm run test:go -- --figures" }])
)

run(command, process.argv.slice(2))
