/**
 * Micro-benchmarks: `npm run bench`. They measure what one acquisition costs, from its parts to the whole over HTTP, and how much less
 * CPU it takes while a process gets older.
 *
 * The embedded server runs in a thread of its own. It is warm when its benchmark begins.
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Bench } from "tinybench"
import * as Lock from "../src/Lock.ts"
import * as LockKind from "../src/LockKind.ts"
import * as LockPolicy from "../src/LockPolicy.ts"
import * as LockProtocol from "../src/LockProtocol.ts"
import * as LockQueue from "../src/LockQueue.ts"
import * as LockRecord from "../src/LockRecord.ts"
import * as ObjectStoreKubernetes from "../src/ObjectStoreKubernetes.ts"
import * as Resource from "../src/Resource.ts"
import { run } from "../tools/program.ts"
import * as Connection from "../src/cli/bench/harness/connection.ts"
import { duration } from "./harness/flags.ts"
import * as Objects from "../src/cli/bench/harness/objects.ts"
import * as Target from "./harness/target.ts"

const now = { earliest: 1_800_000_000_000, latest: 1_800_000_000_500 }
const contender = {
  kind: LockKind.exclusive(LockPolicy.dexAnnotation),
  holderId: "bench/0123456789ab.1",
  ttl: 10_000,
  renews: true,
  yields: false
}
const lease = LockProtocol.nextLease(now, contender)
const annotations = LockRecord.toAnnotations(LockPolicy.dexAnnotation, lease)
const held = LockRecord.fromAnnotations(LockPolicy.dexAnnotation, annotations)
const absent = LockRecord.fromAnnotations(LockPolicy.dexAnnotation, {})
const nobody = LockQueue.fromAnnotations(LockPolicy.dexAnnotation, {})

const pure = (bench: Bench): void => {
  bench
    .add("record: parse", () => LockRecord.fromAnnotations(LockPolicy.dexAnnotation, annotations))
    .add("record: format", () => LockRecord.toAnnotations(LockPolicy.dexAnnotation, lease))
    .add("decision: held by another", () =>
      LockProtocol.decide(held, nobody, now, { ...contender, holderId: "bench/ba9876543210.1" })
    )
    .add("decision: free", () => LockProtocol.decide(absent, nobody, now, contender))
}

const cycle = (id: string) => Effect.scoped(Lock.scoped(id))

// A process compiles its code while it gets older.
const ages = 8

const cyclesByAge = Effect.fnUntraced(function* <E, R>(time: number, cycle: Effect.Effect<void, E, R>) {
  const rows: Array<{ readonly cycles: number; readonly "CPU of each [us]": number }> = []
  let before = 0
  for (let age = 0; age < ages; age++) {
    const [cpu, end] = [process.threadCpuUsage(), performance.now() + time]
    let cycles = 0
    do {
      yield* cycle
      cycles++
    } while (performance.now() < end)
    const { system, user } = process.threadCpuUsage(cpu)
    before += cycles
    rows.push({ cycles: before, "CPU of each [us]": Math.round((system + user) / cycles) })
  }
  return rows
})

const measure = Effect.fnUntraced(function* (time: number) {
  const target = yield* Target.open({ kubeconfig: undefined, namespace: undefined, resource: "configmaps" })
  const [id] = yield* Objects.make(target, 1)
  const store = ObjectStoreKubernetes.layer({ resource: Resource.configMap, createIfMissing: false })
  const http = yield* Layer.build(
    Lock.layer().pipe(Layer.provide(store), Layer.provide(Connection.layer(target.connection)))
  )
  const young = yield* Effect.provideContext(cyclesByAge(time, cycle(id!)), http)

  const bench = new Bench({ time, warmupTime: time / 2 })
  pure(bench)
  const memory = yield* Layer.build(Lock.layerMemory())
  bench.add("acquire and release: memory", () => Effect.runPromiseWith(memory)(cycle("bench")))
  bench.add("acquire and release: HTTP, embedded server", () => Effect.runPromiseWith(http)(cycle(id!)))

  yield* Effect.promise(() => bench.run())
  yield* Console.table(bench.table(row))
  yield* Console.log(
    "\nThe CPU of acquire and release over HTTP, in the thread that does it, while its process gets older:"
  )
  yield* Console.table(young)
  const failed = bench.tasks.filter(({ result }) => result.state === "errored")
  if (failed.length > 0) yield* Effect.die(new Error(`failed: ${failed.map(({ name }) => name).join(", ")}`))
})

const row = (task: Bench["tasks"][number]) => {
  const { result } = task
  if (result.state !== "completed") return { name: task.name, state: result.state }
  const micros = (millis: number) => Number((millis * 1000).toPrecision(3))
  return {
    name: task.name,
    "p50 [us]": micros(result.latency.p50),
    "p99 [us]": micros(result.latency.p99),
    "mean [us]": micros(result.latency.mean),
    "per second": Math.round(result.throughput.mean),
    samples: result.latency.samplesCount
  }
}

const flags = {
  duration: duration(
    "duration",
    [Duration.millis(1), Duration.hours(1)],
    "How long each function is measured, after a warm-up of half that time (default 1s)"
  ).pipe(Flag.withDefault(Duration.seconds(1)))
}

const command = Command.make("npm run bench --", flags, ({ duration }) =>
  Effect.scoped(measure(Duration.toMillis(duration)))
).pipe(
  Command.withDescription(
    "Measures what an acquisition costs: reading and writing a record, the decision, and an uncontended cycle on the memory store and over HTTP."
  ),
  Command.withExamples([{ command: "npm run bench" }])
)

run(command, process.argv.slice(2))
