/**
 * What it takes to hold many locks, with a session and without: `npm run bench:sessions`. See `--help`.
 *
 * One process holds them on ConfigMaps, and waits for them through a second layer. With and without a session take turns on the same API
 * server.
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import type { Held } from "../../src/Held.ts"
import * as Lock from "../../src/Lock.ts"
import * as LockPolicy from "../../src/LockPolicy.ts"
import * as ObjectStoreKubernetes from "../../src/ObjectStoreKubernetes.ts"
import * as Resource from "../../src/Resource.ts"
import { whole } from "../../tools/flags.ts"
import { run } from "../../tools/program.ts"
import * as OwnClient from "../harness/ownClient.ts"
import * as realServer from "../harness/realServer.ts"
import { median, timed } from "../../src/cli/bench/harness/statistics.ts"
import { markdown, number, time } from "../../src/cli/bench/harness/text.ts"

const namespace = "default"

/** How many locks are acquired or released at once. */
const concurrency = 64

const patience = LockPolicy.fixedPolls("1 second", 600)

// A layer of its own in this process, as another process has it.
const contender = Effect.fnUntraced(function* (identity: string, session: boolean) {
  const client = yield* OwnClient.make
  const scope = yield* Scope.make()
  const store = ObjectStoreKubernetes.layer({ resource: Resource.configMap, namespace })
  const policy = LockPolicy.make({ session, waitSchedule: patience })
  const context = yield* Layer.buildWithScope(
    Layer.provide(Lock.layer({ identity, policy }), Layer.provide(store, client.layer)),
    scope
  )
  const acquireOne = Effect.fnUntraced(function* (id: string) {
    const scope = yield* Scope.make()
    return { held: yield* Scope.provide(Lock.scoped(id), scope), scope }
  })
  const acquire = (id: string) => Effect.provide(acquireOne(id), context)
  // The services of the program are provided once, not once for each lock.
  const acquireAll = (ids: ReadonlyArray<string>) =>
    Effect.provide(Effect.forEach(ids, acquireOne, { concurrency }), context)
  // The session is open from the second lock on.
  yield* Effect.flatMap(acquire(`first-of-${identity}`), letGo)
  yield* Effect.sleep("200 millis")
  return { ...client, acquire, acquireAll, ends: Scope.close(scope, Exit.void) }
})

const lostOf = (helds: ReadonlyArray<{ readonly held: Held }>) =>
  Effect.map(
    Effect.forEach(helds, ({ held }) => held.isValid),
    (valid) => valid.filter((isValid) => !isValid).length
  )

const letGo = ({ scope }: { readonly scope: Scope.Closeable }) => Scope.close(scope, Exit.void)

const letAllGo = (helds: ReadonlyArray<{ readonly scope: Scope.Closeable }>) =>
  Effect.forEach(helds, letGo, { concurrency, discard: true })

setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void

const heapUsed = Effect.sync(() => {
  collect()
  return process.memoryUsage().heapUsed
})

let names = 0
const freshIds = (count: number) => {
  names++
  return Array.from({ length: count }, (_, index) => `sessions-${names}-${index}`)
}

// Nobody waits: writes, CPU time and memory. That of a lock is with its scope, and without its name.
const holding = Effect.fnUntraced(function* (count: number, seconds: number, session: boolean) {
  const us = yield* contender("us", session)
  const ids = freshIds(count)
  const before = yield* heapUsed
  const helds = yield* us.acquireAll(ids)
  const memory = ((yield* heapUsed) - before) / count
  // Until all are under the session.
  yield* Effect.sleep("4 seconds")
  const writes = us.writes()
  const cpu = process.cpuUsage()
  yield* Effect.sleep(seconds * 1000)
  const { system, user } = process.cpuUsage(cpu)
  const figures = {
    writes: (us.writes() - writes) / seconds,
    cpu: (system + user) / 1e6 / seconds,
    memory,
    lost: yield* lostOf(helds)
  }
  yield* letAllGo(helds)
  yield* us.ends
  return figures
})

// One holds them, and another waits for all of them.
const aPair = Effect.fnUntraced(function* (count: number, session: boolean) {
  const [us, them] = [yield* contender("us", session), yield* contender("them", session)]
  const ids = freshIds(count)
  const helds = yield* us.acquireAll(ids)
  const waiting = yield* Effect.forkChild(Effect.forEach(ids, them.acquire, { concurrency: "unbounded" }))
  return { us, helds, waiting, end: Effect.all([us.ends, them.ends], { concurrency: "unbounded" }) }
})

// What is lost meanwhile, and how long the hand-over of all takes.
const handingOver = Effect.fnUntraced(function* (count: number, seconds: number, session: boolean) {
  const { end, helds, waiting } = yield* aPair(count, session)
  yield* Effect.sleep(seconds * 1000)
  const lost = yield* lostOf(helds)
  const [took, theirs] = yield* Effect.timed(Effect.andThen(letAllGo(helds), Fiber.join(waiting)))
  yield* letAllGo(theirs)
  yield* end
  return { lost, millis: Duration.toMillis(took) }
})

// The holder dies: how long after its expiry another has all of them.
const crashing = Effect.fnUntraced(function* (count: number, session: boolean) {
  const { end, helds, us, waiting } = yield* aPair(count, session)
  yield* Effect.sleep("6 seconds")
  yield* us.cut
  const [expiry] = yield* Effect.timed(
    Effect.gen(function* () {
      while ((yield* lostOf(helds)) < count) yield* Effect.sleep("20 millis")
    })
  )
  const [took, theirs] = yield* Effect.timed(Fiber.join(waiting))
  yield* letAllGo(theirs)
  yield* us.mend
  yield* letAllGo(helds)
  yield* end
  return { expiry: Duration.toMillis(expiry), millis: Duration.toMillis(took) }
})

// Warm and uncontended, in turns. Which of the two comes first alternates, too.
const cycles = Effect.fnUntraced(function* (rounds: number) {
  const [withOne, without] = [yield* contender("with", true), yield* contender("without", false)]
  const samples = { with: Array.of<number>(), without: Array.of<number>() }
  const cycle = ({ acquire }: typeof withOne, id: string) => Effect.flatMap(acquire(id), letGo)
  const turns = [
    timed(samples.with, Effect.repeat(cycle(withOne, "cycle-with"), { times: 49 })),
    timed(samples.without, Effect.repeat(cycle(without, "cycle-without"), { times: 49 }))
  ]
  for (let round = 0; round < rounds; round++) {
    yield* Effect.all(round % 2 === 0 ? turns : turns.toReversed(), { discard: true })
  }
  yield* Effect.all([withOne.ends, without.ends])
  return (median(samples.without) ?? Number.NaN) / (median(samples.with) ?? Number.NaN)
})

const both = <A, E, R>(figures: (session: boolean) => Effect.Effect<A, E, R>) =>
  Effect.all([figures(false), figures(true)])

const measure = Effect.fnUntraced(function* (locks: number, seconds: number, rounds: number) {
  const held = yield* both((session) => holding(locks, seconds, session))
  const handed = yield* both((session) => handingOver(locks, seconds, session))
  const crashed = yield* both((session) => crashing(locks, session))
  const ratio = yield* cycles(rounds)
  return [
    ["writes a second while they are held", ...held.map(({ writes }) => writes.toFixed(1))],
    ["share of a core", ...held.map(({ cpu }) => `${(100 * cpu).toFixed(1)} %`)],
    ["memory of each, in bytes", ...held.map(({ memory }) => number(memory))],
    ["lost, nobody waiting", ...held.map(({ lost }) => number(lost))],
    ["lost, somebody waiting for all", ...handed.map(({ lost }) => number(lost))],
    ["until all are released and handed over", ...handed.map(({ millis }) => time(millis))],
    ["the holder dies: until the last of its locks has expired", ...crashed.map(({ expiry }) => time(expiry))],
    ["and from then on until another has all", ...crashed.map(({ millis }) => time(millis))],
    ["uncontended cycles a second, as a ratio", "1", ratio.toFixed(2)]
  ]
})

const command = Command.make(
  "npm run bench:sessions --",
  {
    locks: whole("locks", [1, 100_000], "How many locks are held (default 1000)").pipe(Flag.withDefault(1000)),
    seconds: whole("seconds", [1, 3600], "For how long they are held (default 60)").pipe(Flag.withDefault(60)),
    rounds: whole("rounds", [1, 1000], "How often 50 cycles are measured (default 15)").pipe(Flag.withDefault(15))
  },
  Effect.fnUntraced(function* ({ locks, rounds, seconds }) {
    const rows = yield* measure(locks, seconds, rounds).pipe(
      Effect.provide(realServer.layer),
      Effect.provide(Logger.layer([]))
    )
    yield* Console.log(markdown([`${locks} locks`, "without a session", "with a session"], rows))
  })
).pipe(
  Command.withDescription(
    "Measures what it takes to hold many locks, with a session and without, on a real kube-apiserver (KUBEBUILDER_ASSETS)."
  ),
  Command.withExamples([
    { command: "npm run bench:sessions", description: "1000 locks, about six minutes" },
    { command: "npm run bench:sessions -- --locks 100 --seconds 5 --rounds 3", description: "A look" }
  ])
)

run(command, process.argv.slice(2))
