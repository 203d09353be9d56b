/** kubelock beside Dex on a real API server: `npm run bench:dex`. See `--help`. */
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Flag from "effect/cli/Flag"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import * as ObjectStoreKubernetes from "../../src/ObjectStoreKubernetes.ts"
import * as Resource from "../../src/Resource.ts"
import { Envtest } from "../../src/testing/index.ts"
import { toggle, whole } from "../../tools/flags.ts"
import * as program from "../../tools/program.ts"
import * as Pool from "../../src/cli/bench/contest/pool.ts"
import { contender } from "../contest/task.ts"
import * as Api from "../../src/cli/bench/harness/api.ts"
import * as Connection from "../../src/cli/bench/harness/connection.ts"
import { measurementsFile } from "../harness/flags.ts"
import { LoadError } from "../../src/cli/bench/harness/loadError.ts"
import * as Objects from "../../src/cli/bench/harness/objects.ts"
import * as machine from "../peers/machine.ts"
import * as Crashes from "./crashes.ts"
import type { Measurements, Mix } from "./measurements.ts"
import { crashTable, page, roomTable } from "./page.ts"
import * as Room from "./room.ts"

/** The namespace that the servers are started with. */
const namespace = "dex"

const settings = {
  full: {
    dexes: [1, 4, 8],
    mixes: [
      [2, 8],
      [4, 4],
      [8, 2],
      [0, 8],
      [0, 10]
    ]
  },
  quick: { dexes: [1], mixes: [[1, 1]] }
} as const

interface Given {
  readonly crashes: number
  readonly seconds: number
  readonly rounds: number
  readonly quick: boolean
}

const say = (line: string) => Console.error(line)

const measure = Effect.fnUntraced(function* ({ crashes: count, quick, rounds, seconds }: Given) {
  const api = yield* Envtest.start({ server: "kube-apiserver" })
  const connection: Connection.Connection = { _tag: "KubeConfig", file: api.kubeConfigPath }
  const client = yield* Layer.build(Connection.layer(connection))
  const requests = yield* Effect.provideContext(Api.make, client)
  const resource = Resource.refreshToken
  const store = yield* Effect.provideContext(ObjectStoreKubernetes.make({ resource, namespace }), client)
  const aPlace = Effect.map(Objects.make({ api: requests, resource, namespace }, 1), ([id]) => ({
    connection,
    namespace,
    id: id!
  }))
  const { dexes, mixes } = quick ? settings.quick : settings.full

  const crashes = yield* Effect.forEach(
    dexes.flatMap((dexes) => (["dex", "kubelock"] as const).map((victim) => ({ dexes, victim }))),
    (row) =>
      Effect.scoped(
        Effect.flatMap(aPlace, (place) => Crashes.measure(store, place, { ...row, count: quick ? 1 : count }))
      ).pipe(
        Effect.tap(({ chains, late }) =>
          say(`${row.victim} killed beside ${row.dexes} Dex: chains ${chains.join(", ")}; ${late.join(", ")} ms late`)
        )
      )
  )

  const pool = yield* Pool.processesOf(contender)
  const played: Array<Mix> = mixes.map(([kubelocks, dexes]) => ({ kubelocks, dexes, rounds: [] }))
  for (let round = 0; round < (quick ? 1 : rounds); round++) {
    for (const [index, mix] of played.entries()) {
      const one = yield* Effect.scoped(
        Effect.flatMap(aPlace, (place) => Room.measure(pool, place, { ...mix, seconds: quick ? 3 : seconds }))
      )
      played[index] = { ...mix, rounds: [...mix.rounds, one] }
      yield* say(`${mix.kubelocks} + ${mix.dexes}: Dex's share ${(one.dexShare * 100).toFixed(0)} %`)
    }
  }
  return { server: "kube-apiserver", version: api.version, seconds, crashes, mixes: played }
}, Effect.scoped)

const flags = {
  quick: toggle("quick", "A run of a minute: shows that everything works, and leaves docs/dex-benchmarks.md alone"),
  crashes: whole("crashes", [1, 1000], "How many processes are killed for each row (default 10)").pipe(
    Flag.withDefault(10)
  ),
  seconds: whole("seconds", [1, 600], "How long each mix contends each time (default 30)").pipe(Flag.withDefault(30)),
  rounds: whole("rounds", [1, 20], "How often the mixes take turns (default 3)").pipe(Flag.withDefault(3)),
  json: measurementsFile
}

const command = Command.make(
  "npm run bench:dex --",
  flags,
  Effect.fnUntraced(function* ({ json, ...given }) {
    const run: Measurements = yield* machine.during(measure(given))
    if (Option.isSome(json)) writeFileSync(json.value, `${JSON.stringify(run)}\n`)
    yield* Console.log(`${crashTable(run.crashes)}\n\n${roomTable(run.mixes)}`)
    if (!given.quick) writeFileSync(join(import.meta.dirname, "../../docs/dex-benchmarks.md"), page(run))
    const overlaps = run.mixes.flatMap(({ rounds }) => rounds).reduce((total, { overlaps }) => total + overlaps, 0)
    if (overlaps > 0) return yield* new LoadError({ message: `mutual exclusion was broken ${overlaps} times` })
  })
).pipe(
  Command.withDescription(
    "Measures kubelock beside Dex on the real API server in KUBEBUILDER_ASSETS: who breaks the lock of a process that died, and how many of the turns Dex gets."
  ),
  Command.withExamples([
    { command: "npm run bench:dex -- --quick", description: "A minute: shows that everything works" },
    { command: "npm run bench:dex", description: "About twenty minutes; writes docs/dex-benchmarks.md" }
  ])
)

program.run(command, process.argv.slice(2))
