/**
 * The process that is sampled: `node --expose-gc test/soak/worker.ts KUBECONFIG SEED`.
 *
 * Three services stay, and others come and go. Each is a client with locks on many objects; those that stay also share a
 * rotating token and elect a leader. The process prints a line of JSON for each sample. After SIGTERM it closes
 * everything, and its last sample shows what is left.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { readdirSync } from "node:fs"
import type { Held } from "../../src/Held.ts"
import * as KubernetesClient from "../../src/KubernetesClient.ts"
import * as LeaderElection from "../../src/LeaderElection.ts"
import * as Lock from "../../src/Lock.ts"
import type * as LockError from "../../src/LockError.ts"
import * as ObjectStoreKubernetes from "../../src/ObjectStoreKubernetes.ts"
import * as RefreshOnce from "../../src/RefreshOnce.ts"
import * as Resource from "../../src/Resource.ts"
import { Provider } from "../chaos/provider.ts"
import * as Dice from "../simulation/dice.ts"
import type { Line, Sample } from "./samples.ts"

const [file = "", seed = "1"] = process.argv.slice(2)

/** What happened since the beginning. */
const counts = { acquisitions: 0, refusals: 0, losses: 0, services: 0, violations: 0 }
const provider = new Provider()

let fibers = 0
const counting: Metric.FiberRuntimeMetricsService = {
  recordFiberStart: () => void fibers++,
  recordFiberEnd: () => void fibers--
}

const sample = (): Sample => {
  for (let times = 0; times < 2; times++) globalThis.gc!()
  const { arrayBuffers, external, heapUsed, rss } = process.memoryUsage()
  const resources = process.getActiveResourcesInfo()
  const count = (...names: ReadonlyArray<string>) => resources.filter((name) => names.includes(name)).length
  const sockets = count("TCPSocketWrap", "TLSWrap")
  const timers = count("Timeout", "Immediate")
  return {
    at: performance.now(),
    heap: heapUsed,
    external: external + arrayBuffers,
    rss,
    sockets,
    timers,
    handles: resources.length - sockets - timers,
    files: readdirSync("/proc/self/fd").length,
    fibers
  }
}

const report = (isLast: boolean) =>
  Effect.suspend(() =>
    Console.log(
      JSON.stringify({
        isLast,
        sample: sample(),
        counts: { ...counts, rotations: provider.rotations, reuses: provider.reuses.length }
      } satisfies Line)
    )
  )

/** The witness: who is inside, and the newest token of each lock. */
const inside = new Map<string, Held>()
const newest = new Map<string, bigint>()

const visit = (id: string, millis: number) => (held: Held) =>
  Effect.gen(function* () {
    counts.acquisitions++
    const other = inside.get(id)
    if (other !== undefined && (yield* other.isValid) && (yield* held.isValid)) counts.violations++
    if (held.fencingToken <= (newest.get(id) ?? 0n)) counts.violations++
    newest.set(id, held.fencingToken)
    inside.set(id, held)
    yield* Effect.sleep(millis)
  }).pipe(
    Effect.ensuring(
      Effect.sync(() => {
        if (inside.get(id) === held) inside.delete(id)
      })
    )
  )

const client = KubernetesClient.layerKubeConfig({ file })

const locks = (identity: string) =>
  Lock.layer({ identity }).pipe(
    Layer.provide(ObjectStoreKubernetes.layer({ resource: Resource.configMap, namespace: "dex" }))
  )

const refused = <A, E extends { readonly _tag: string }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.catch(effect, ({ _tag }) =>
    Effect.sync(() => {
      if (_tag === "LockLost") counts.losses++
      else counts.refusals++
    })
  )

/** One use of a lock: of a hot one or of one of many, for a moment or beyond several renewals, with or without patience. */
const use = (
  dice: Dice.Dice
): Effect.Effect<unknown, Lock.AcquireError | Lock.TryError | LockError.Lost, Lock.Lock> => {
  const id = dice.chance(0.5) ? `soak-hot-${dice.between(0, 4)}` : `soak-${dice.between(0, 199)}`
  const inSpace = visit(id, dice.chance(0.01) ? dice.between(8000, 15_000) : dice.between(0, 50))
  const patience = dice.between(0, 9)
  if (patience === 0) return Lock.tryWithLock(id)(inSpace)
  if (patience === 1) return Effect.timeoutOption(Lock.withLock(id)(inSpace), dice.between(5, 200))
  return Lock.withLock(id)(inSpace)
}

const caller = (name: string) => {
  const dice = Dice.make(Number(seed), name)
  return Effect.suspend(() => refused(Effect.asVoid(use(dice)))).pipe(
    Effect.andThen(Effect.suspend(() => Effect.sleep(dice.between(300, 1500)))),
    Effect.forever
  )
}

const Token = Schema.Struct({ generation: Schema.Int, until: Schema.Int })

const sharing = (identity: string) =>
  Effect.gen(function* () {
    const tokens = yield* RefreshOnce.make({
      schema: Token,
      identity,
      namespace: "dex",
      isFresh: ({ until }) => Effect.map(Clock.currentTimeMillis, (now) => now < until),
      refresh: (current) =>
        Effect.sync(() => ({
          generation: provider.spend(
            identity,
            Option.match(current, { onNone: () => 0, onSome: ({ generation }) => generation })
          ),
          until: Date.now() + 1000
        }))
    })
    return yield* refused(tokens.get("soak-token")).pipe(Effect.andThen(Effect.sleep("300 millis")), Effect.forever)
  }).pipe(Effect.scoped)

const electing = (identity: string) =>
  refused(LeaderElection.lead("soak-leader")(Effect.sleep("3 seconds"))).pipe(
    Effect.andThen(Effect.sleep("1 second")),
    Effect.forever,
    Effect.provide(LeaderElection.layer({ identity, namespace: "dex" }))
  )

const callers = 6

/** A service that stays. */
const resident = (identity: string) =>
  Effect.all(
    [
      ...Array.from({ length: callers }, (_, index) => caller(`${identity}-${index}`)),
      sharing(identity),
      electing(identity)
    ],
    { concurrency: "unbounded", discard: true }
  ).pipe(Effect.provide(locks(identity)), Effect.provide(client, { local: true }))

/** A service that does its work on an object of its own and on others, cleans up, and goes. */
const passing = (index: number) => {
  const own = `soak-own-${index}`
  counts.services++
  return refused(
    Effect.gen(function* () {
      yield* Lock.withLock(own)(visit(own, 10))
      yield* Lock.withLock("soak-hot-0")(visit("soak-hot-0", 10))
      yield* Effect.scoped(Lock.scopedAll(["soak-1", "soak-2"]))
      yield* Lock.removeIdle(own)
    })
  ).pipe(Effect.provide(locks(`passing-${index}`)), Effect.provide(client, { local: true }))
}

const comingAndGoing = Effect.gen(function* () {
  for (let index = 0; ; index++) {
    yield* Effect.forkChild(passing(index))
    yield* Effect.sleep("2 seconds")
  }
})

const world = Effect.all(
  [
    resident("resident-0"),
    resident("resident-1"),
    resident("resident-2"),
    comingAndGoing,
    Effect.forever(Effect.andThen(Effect.sleep("5 seconds"), report(false)))
  ],
  { concurrency: "unbounded", discard: true }
)

/** Idle watches are closed by then, and releases are given up. */
const afterwards = Effect.andThen(Effect.sleep("12 seconds"), report(true))

world.pipe(
  Effect.ensuring(afterwards),
  Effect.provideService(Metric.FiberRuntimeMetrics, counting),
  Effect.provide(Logger.layer([])),
  NodeRuntime.runMain
)
