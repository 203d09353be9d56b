/**
 * How long the shards of an Effect cluster take to settle, beside SQL storage on SQLite: `npm run bench:runners`. See `--help`.
 *
 * Both have Effect's own times: 300 shards, an expiry of 35 s, a refresh every 10 s. All runners are in this process. A runner that dies
 * sends nothing from then on.
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as MessageStorage from "effect/cluster/MessageStorage"
import * as RunnerAddress from "effect/cluster/RunnerAddress"
import * as RunnerHealth from "effect/cluster/RunnerHealth"
import * as Runners from "effect/cluster/Runners"
import * as RunnerStorage from "effect/cluster/RunnerStorage"
import * as ShardId from "effect/cluster/ShardId"
import * as Sharding from "effect/cluster/Sharding"
import * as ShardingConfig from "effect/cluster/ShardingConfig"
import * as SqlRunnerStorage from "effect/cluster/SqlRunnerStorage"
import * as ClusterError from "effect/cluster/ClusterError"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as References from "effect/References"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { layerKubeConfigYaml } from "../../src/KubernetesClient.ts"
import * as KubernetesRunnerStorage from "../../src/KubernetesRunnerStorage.ts"
import { Envtest } from "../../src/testing/index.ts"
import { whole } from "../../tools/flags.ts"
import { run } from "../../tools/program.ts"
import { median } from "../../src/cli/bench/harness/statistics.ts"
import { markdown, time } from "../../src/cli/bench/harness/text.ts"
import * as Sqlite from "./sqlite.ts"

const shards = 300

/** How long nothing may change until the shards count as settled, in milliseconds: longer than every pause of `Sharding`. */
const quietMillis = 6000

type Storage = Layer.Layer<RunnerStorage.RunnerStorage, unknown, ShardingConfig.ShardingConfig>

interface Runner {
  readonly sharding: Sharding.Sharding["Service"]
  readonly dies: Effect.Effect<void>
}

/** Starts a runner. */
const aRunner = Effect.fnUntraced(function* (storage: Storage, port: number) {
  const end = Latch.makeUnsafe(false)
  let isDead = false
  const gone = Effect.andThen(
    end.await,
    Effect.fail(new ClusterError.PersistenceError({ cause: "the runner is dead" }))
  )
  const mortal = <A>(operation: Effect.Effect<A, ClusterError.PersistenceError>) =>
    Effect.suspend(() => (isDead ? gone : operation))
  const wrapped = Layer.effect(
    RunnerStorage.RunnerStorage,
    Effect.map(RunnerStorage.RunnerStorage, (storage) =>
      RunnerStorage.RunnerStorage.of({
        register: (runner, healthy) => mortal(storage.register(runner, healthy)),
        unregister: (address) => mortal(storage.unregister(address)),
        getRunners: mortal(storage.getRunners),
        setRunnerHealth: (address, healthy) => mortal(storage.setRunnerHealth(address, healthy)),
        acquire: (address, shards) => mortal(storage.acquire(address, shards)),
        refresh: (address, shards) => mortal(storage.refresh(address, shards)),
        release: (address, shard) => mortal(storage.release(address, shard)),
        releaseAll: (address) => mortal(storage.releaseAll(address))
      })
    )
  ).pipe(Layer.provide(storage))
  const config = ShardingConfig.layer({ runnerAddress: Option.some(RunnerAddress.make("localhost", port)) })
  const context = yield* Layer.build(
    Layer.fresh(
      Sharding.layer.pipe(
        Layer.provide([Runners.layerNoop, RunnerHealth.layerNoop, wrapped]),
        Layer.provide([MessageStorage.layerNoop, config])
      )
    )
  )
  yield* Effect.addFinalizer(() => end.open)
  const runner: Runner = {
    sharding: yield* Effect.provide(Sharding.Sharding, context),
    dies: Effect.sync(() => void (isDead = true))
  }
  return runner
})

/** How long it takes until these runners have all shards, each of them some, and nothing changes any more. In milliseconds. */
const settled = (runners: ReadonlyArray<Runner>) =>
  Effect.gen(function* () {
    const begun = performance.now()
    let changedAt = begun
    let before = ""
    for (;;) {
      const owners = Array.from({ length: shards }, (_, index) =>
        runners.flatMap(({ sharding }, runner) =>
          sharding.hasShardId(ShardId.make("default", index + 1)) ? [runner] : []
        )
      )
      const now = owners.join()
      if (now !== before) changedAt = performance.now()
      before = now
      const isComplete = owners.every(({ length }) => length === 1) && new Set(owners.flat()).size === runners.length
      if (isComplete && performance.now() - changedAt > quietMillis) return changedAt - begun
      yield* Effect.sleep("20 millis")
    }
  })

/** What was measured of one storage, in milliseconds. */
interface Samples {
  readonly joins: Array<number>
  readonly deaths: Array<number>
}

const round = Effect.fnUntraced(function* (storage: () => Storage, { deaths, joins }: Samples) {
  const runners = yield* Effect.forEach([1, 2, 3], (port) => aRunner(storage(), port), { concurrency: "unbounded" })
  yield* settled(runners)
  yield* Effect.sleep(Math.random() * 3000)
  const begun = performance.now()
  const joined = yield* aRunner(storage(), 4)
  const started = performance.now() - begun
  joins.push(started + (yield* settled([...runners, joined])))
  yield* Effect.sleep(Math.random() * 10_000)
  const [victim, ...others] = runners
  yield* victim!.dies
  deaths.push(yield* settled([...others, joined]))
}, Effect.scoped)

const measure = Effect.fnUntraced(
  function* (rounds: number) {
    const { kubeConfig } = yield* Envtest.start({ server: "kube-apiserver" })
    const directory = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "kubelock-runners-"))),
      (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
    )
    const sqlite: Samples = { joins: [], deaths: [] }
    const kubelock: Samples = { joins: [], deaths: [] }
    for (let index = 0; index < rounds; index++) {
      const sql = yield* Layer.build(Sqlite.layer(join(directory, `${index}.db`)))
      yield* round(() => Layer.provide(SqlRunnerStorage.layer, Layer.succeedContext(sql)), sqlite)
      const storage = KubernetesRunnerStorage.layer({ name: `round-${index}` })
      yield* round(() => Layer.provide(storage, layerKubeConfigYaml(kubeConfig)), kubelock)
    }
    return { sqlite, kubelock }
  },
  Effect.scoped,
  // A runner that is dead complains.
  Effect.provideService(References.MinimumLogLevel, "None")
)

const command = Command.make(
  "npm run bench:runners --",
  { rounds: whole("rounds", [1, 100], "How often each is measured (default 3)").pipe(Flag.withDefault(3)) },
  Effect.fnUntraced(function* ({ rounds }) {
    const { kubelock, sqlite } = yield* measure(rounds)
    const cell = (values: ReadonlyArray<number>) => `${time(median(values))} (at most ${time(Math.max(...values))})`
    yield* Console.log(
      markdown(
        ["until the shards have settled, median", "SQL storage on SQLite", "kubelock"],
        [
          ["a runner joins three", cell(sqlite.joins), cell(kubelock.joins)],
          ["one of four runners dies", cell(sqlite.deaths), cell(kubelock.deaths)]
        ]
      )
    )
  })
).pipe(
  Command.withDescription(
    "Measures how long the shards of an Effect cluster take to settle on a real kube-apiserver (KUBEBUILDER_ASSETS), beside SQL storage on SQLite."
  ),
  Command.withExamples([
    { command: "npm run bench:runners", description: "Everything, about eight minutes" },
    { command: "npm run bench:runners -- --rounds 1", description: "A look" }
  ])
)

run(command, process.argv.slice(2))
