/**
 * The process that is sampled: `node --expose-gc test/soak/worker.ts KUBECONFIG SEED`.
 *
 * Three services stay, and others come and go. Each is a client with locks on many objects, permits and shared locks; those
 * that stay also share a rotating token and elect a leader. Two of those that stay, and every other one of the rest, hold their locks under
 * sessions. The process prints a line of JSON for each sample. After SIGTERM
 * it closes everything, and its last sample shows what is left.
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
import type * as Scope from "effect/Scope"
import { readdirSync } from "node:fs"
import type { Permit } from "../../src/Held.ts"
import * as KubernetesClient from "../../src/KubernetesClient.ts"
import * as LeaderElection from "../../src/LeaderElection.ts"
import * as Lock from "../../src/Lock.ts"
import type * as LockError from "../../src/LockError.ts"
import * as LockPolicy from "../../src/LockPolicy.ts"
import * as ObjectStoreKubernetes from "../../src/ObjectStoreKubernetes.ts"
import * as RefreshOnce from "../../src/RefreshOnce.ts"
import * as Resource from "../../src/Resource.ts"
import * as Semaphore from "../../src/Semaphore.ts"
import * as SharedLock from "../../src/SharedLock.ts"
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

/** What a lock, a permit and a shared lock have in common. */
type Held = Omit<Permit, "permits">

/**
 * How many permits there are behind a lock, and how many of them one has. A lock has one, and a writer of a shared lock has all of
 * very many.
 */
interface Share {
  readonly limit: number
  readonly permits: number
}
const theLock: Share = { limit: 1, permits: 1 }
const aPermit: Share = { limit: 4, permits: 1 }
const aReader: Share = { limit: 1000, permits: 1 }
const aWriter: Share = { limit: 1000, permits: 1000 }

/** The witness: who is inside, and the newest tokens of each lock: of all, and of those that had all permits. */
const inside = new Map<string, Map<Held, number>>()
const newest = new Map<string, { readonly token: bigint; readonly ofAll: bigint }>()

const enter = Effect.fnUntraced(function* (held: Held, { limit, permits }: Share) {
  const { fencingToken, id } = held
  if (!(yield* held.isValid)) return
  const holders = inside.get(id) ?? new Map<Held, number>()
  const others = [...holders]
  let taken = permits
  for (const [other, permits] of others) if (yield* other.isValid) taken += permits
  if (taken > limit) counts.violations++
  inside.set(id, holders.set(held, permits))
  const { ofAll, token } = newest.get(id) ?? { token: 0n, ofAll: 0n }
  const hasAll = permits === limit
  if (fencingToken <= (hasAll ? token : ofAll)) counts.violations++
  newest.set(id, {
    token: fencingToken > token ? fencingToken : token,
    ofAll: hasAll ? fencingToken : ofAll
  })
})

const leave = (held: Held) =>
  Effect.sync(() => {
    const holders = inside.get(held.id)
    holders?.delete(held)
    if (holders?.size === 0) inside.delete(held.id)
  })

/** A stay behind a lock, from its acquisition to its release. */
const visit = <E, R>(acquire: Effect.Effect<Held, E, R>, share: Share, millis: number) =>
  Effect.flatMap(acquire, (held) => {
    counts.acquisitions++
    return held.guard(enter(held, share).pipe(Effect.andThen(Effect.sleep(millis)), Effect.ensuring(leave(held))))
  }).pipe(Effect.scoped)

const client = KubernetesClient.layerKubeConfig({ file })

const locks = (identity: string, session: boolean) =>
  Layer.mergeAll(
    Lock.layer({ identity, policy: LockPolicy.make({ session }) }),
    Semaphore.layer({ identity }),
    SharedLock.layer({ identity })
  ).pipe(Layer.provide(ObjectStoreKubernetes.layer({ resource: Resource.configMap, namespace: "dex" })))

const refused = <A, E extends { readonly _tag: string }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.catch(effect, ({ _tag }) =>
    Effect.sync(() => {
      if (_tag === "LockLost") counts.losses++
      else counts.refusals++
    })
  )

/** How a lock is acquired: with all patience, or once. */
interface Door {
  readonly share: Share
  readonly wait: Effect.Effect<Held, Lock.AcquireError, Locks | Scope.Scope>
  readonly attempt: Effect.Effect<Held, Lock.TryError, Locks | Scope.Scope>
}
type Locks = Lock.Lock | Semaphore.Semaphore | SharedLock.SharedLock

/** A lock, hot or one of many; permits; or a shared lock. */
const door = (dice: Dice.Dice): Door => {
  const hot = dice.between(0, 4)
  switch (dice.between(0, 5)) {
    case 0: {
      const id = `soak-permits-${hot}`
      const share = { ...aPermit, permits: dice.between(1, aPermit.limit) }
      return { share, wait: Semaphore.take(id, share), attempt: Semaphore.takeIfAvailable(id, share) }
    }
    case 1: {
      const id = `soak-shared-${hot}`
      return dice.chance(0.3)
        ? { share: aWriter, wait: SharedLock.exclusive(id), attempt: SharedLock.tryExclusive(id) }
        : { share: aReader, wait: SharedLock.shared(id), attempt: SharedLock.tryShared(id) }
    }
    default: {
      const id = dice.chance(0.5) ? `soak-hot-${hot}` : `soak-${dice.between(0, 199)}`
      return { share: theLock, wait: Lock.scoped(id), attempt: Lock.tryScoped(id) }
    }
  }
}

/** One use of a lock: for a moment or beyond several renewals, with or without patience. */
const use = (dice: Dice.Dice): Effect.Effect<unknown, Lock.AcquireError | Lock.TryError | LockError.Lost, Locks> => {
  const { attempt, share, wait } = door(dice)
  const millis = dice.chance(0.01) ? dice.between(8000, 15_000) : dice.between(0, 50)
  const patience = dice.between(0, 9)
  if (patience === 0) return visit(attempt, share, millis)
  if (patience === 1) return Effect.timeoutOption(visit(wait, share, millis), dice.between(5, 200))
  return visit(wait, share, millis)
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
const resident = (identity: string, session: boolean) =>
  Effect.all(
    [
      ...Array.from({ length: callers }, (_, index) => caller(`${identity}-${index}`)),
      sharing(identity),
      electing(identity)
    ],
    { concurrency: "unbounded", discard: true }
  ).pipe(Effect.provide(locks(identity, session)), Effect.provide(client, { local: true }))

/** A service that does its work on an object of its own and on others, cleans up, and goes. */
const passing = (index: number) => {
  const own = `soak-own-${index}`
  counts.services++
  return refused(
    Effect.gen(function* () {
      yield* visit(Lock.scoped(own), theLock, 10)
      yield* visit(Lock.scoped("soak-hot-0"), theLock, 10)
      yield* visit(Semaphore.take("soak-permits-0", aPermit), aPermit, 10)
      yield* visit(SharedLock.shared("soak-shared-0"), aReader, 10)
      yield* Effect.scoped(Lock.scopedAll(["soak-1", "soak-2"]))
      yield* Lock.removeIdle(own)
      newest.delete(own)
    })
  ).pipe(Effect.provide(locks(`passing-${index}`, index % 2 === 0)), Effect.provide(client, { local: true }))
}

const comingAndGoing = Effect.gen(function* () {
  for (let index = 0; ; index++) {
    yield* Effect.forkChild(passing(index))
    yield* Effect.sleep("2 seconds")
  }
})

const world = Effect.all(
  [
    resident("resident-0", true),
    resident("resident-1", true),
    resident("resident-2", false),
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
