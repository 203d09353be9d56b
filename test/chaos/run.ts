/** `npm run test:chaos`: chaos on real API servers, alone and as a cluster. It needs `KUBEBUILDER_ASSETS`. */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as ChildProcess from "effect/process/ChildProcess"
import { resolve } from "node:path"
import * as Envtest from "../../src/testing/envtest/Envtest.ts"
import { number, whole } from "../../tools/flags.ts"
import { run } from "../../tools/program.ts"
import * as settings from "./settings.ts"

const command = Command.make(
  "npm run test:chaos --",
  {
    minutes: number("minutes", [0.1, 1440], "For how long faults are injected in each run (default 25 seconds)").pipe(
      Flag.optional
    ),
    seed: whole("seed", [0, 2 ** 31 - 1], "Decides which faults are injected (default 1)").pipe(Flag.optional),
    kind: Flag.Literals("kind", settings.kinds).pipe(
      Flag.optional,
      Flag.withDescription("What the processes contend for (default a lock of each kind and the runs of Once)")
    ),
    only: Flag.String("only").pipe(
      Flag.optional,
      Flag.withMetavar("TEXT"),
      Flag.withDescription("Run only the suites with this text in the names of their files, such as cluster")
    ),
    record: Flag.String("record").pipe(
      Flag.optional,
      Flag.withMetavar("FILE"),
      Flag.withDescription("Append a line of JSON for each run: the faults with their times, and what was seen")
    )
  },
  ({ kind, minutes, only, record, seed }) =>
    Effect.gen(function* () {
      yield* Envtest.assets
      const given = {
        KUBELOCK_CHAOS_SECONDS: Option.map(minutes, (minutes) => String(Math.round(minutes * 60))),
        KUBELOCK_CHAOS_SEED: Option.map(seed, String),
        KUBELOCK_CHAOS_KIND: kind,
        KUBELOCK_CHAOS_RECORD: Option.map(record, (file) => resolve(file))
      }
      const env = Object.fromEntries(
        Object.entries(given).flatMap(([name, value]) => (Option.isSome(value) ? [[name, value.value]] : []))
      )
      const { exitCode } = yield* ChildProcess.make(
        process.execPath,
        [
          resolve(import.meta.dirname, "../../node_modules/vitest/vitest.mjs"),
          "run",
          "--config",
          resolve(import.meta.dirname, "vitest.config.ts"),
          ...Option.toArray(only)
        ],
        { env, extendEnv: true, stdin: "inherit", stdout: "inherit", stderr: "inherit", detached: false }
      )
      process.exitCode = yield* exitCode
    }).pipe(Effect.scoped)
).pipe(
  Command.withDescription(
    "Kills, suspends and cuts off processes that contend for locks, and the API servers that they use (KUBEBUILDER_ASSETS)."
  ),
  Command.withExamples([
    {
      command: "npm run test:chaos -- --only cluster --minutes 10",
      description: "Two API servers on three etcd members"
    },
    { command: "npm run test:chaos -- --kind semaphore --seed 7 --record chaos.jsonl" }
  ])
)

run(command, process.argv.slice(2))
