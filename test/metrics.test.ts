/** The metrics: each kind of lock has all of its own, and the table in docs/observability.md is that of the code. */
import { assert, describe, it } from "@effect/vitest"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import * as kubelock from "../src/index.ts"
import * as LeaderElection from "../src/LeaderElection.ts"
import * as Lock from "../src/Lock.ts"
import type * as LockError from "../src/LockError.ts"
import * as LockPolicy from "../src/LockPolicy.ts"
import { type MetadataPatch, ObjectStore } from "../src/ObjectStore.ts"
import * as ObjectStoreMemory from "../src/ObjectStoreMemory.ts"
import * as Once from "../src/Once.ts"
import * as Semaphore from "../src/Semaphore.ts"
import * as SharedLock from "../src/SharedLock.ts"
import { dexLockUntil } from "./utils/processes.ts"
import { publicMetrics } from "./utils/publicMetrics.ts"
import { root } from "./utils/publicModules.ts"

type Services = Lock.Lock | Semaphore.Semaphore | SharedLock.SharedLock

/** What is counted: the series by name and attributes. */
const counted = Effect.map(Metric.snapshot, (snapshots) =>
  snapshots.map(({ attributes, id, state }) => {
    const value = "count" in state ? Number(state.count) : "value" in state ? Number(state.value) : Number.NaN
    return { id, attributes: attributes ?? {}, value }
  })
)

const id = "thing"
const options = { waitSchedule: LockPolicy.fixedPolls("100 millis", 5), expectedHold: "2 seconds" } as const

interface Kind {
  readonly name: string
  readonly attributes: Readonly<Record<string, string>>
  readonly acquire: Effect.Effect<unknown, LockError.LockError, Services | Scope.Scope>
  /** Acquires what excludes the above. */
  readonly exclude: Effect.Effect<unknown, LockError.LockError, Services | Scope.Scope>
  readonly break: Effect.Effect<unknown, LockError.LockError, Services>
}

const breakFirst = <R>(
  inspect: Effect.Effect<{ readonly holders: ReadonlyArray<{ readonly holder: string }> }, LockError.LockError, R>,
  breakIt: (id: string, holder: string) => Effect.Effect<boolean, LockError.LockError, R>
) => Effect.flatMap(inspect, ({ holders }) => breakIt(id, holders[0]!.holder))

const lock = Lock.scoped(id, options)
const permits = Semaphore.take(id, { limit: 3, permits: 2, ...options })
const breakShared = breakFirst(SharedLock.inspect(id), SharedLock.break)

const kinds: ReadonlyArray<Kind> = [
  { name: "a lock", attributes: { kind: "lock" }, acquire: lock, exclude: lock, break: Lock.break(id) },
  {
    name: "a lock with a purpose",
    attributes: { kind: "migration" },
    acquire: Lock.scoped(id, { ...options, countedAs: "migration" }),
    exclude: lock,
    break: Lock.break(id)
  },
  {
    name: "a semaphore",
    attributes: { kind: "semaphore" },
    acquire: permits,
    exclude: permits,
    break: breakFirst(Semaphore.inspect(id), Semaphore.break)
  },
  {
    name: "readers of a shared lock",
    attributes: { kind: "shared", mode: "shared" },
    acquire: SharedLock.shared(id, options),
    exclude: SharedLock.exclusive(id, options),
    break: breakShared
  },
  {
    name: "writers of a shared lock",
    attributes: { kind: "shared", mode: "exclusive" },
    acquire: SharedLock.exclusive(id, options),
    exclude: SharedLock.shared(id, options),
    break: breakShared
  }
]

/** A process with locks of all kinds. */
const aProcess = (identity: string) =>
  Layer.build(Layer.mergeAll(Lock.layer({ identity }), Semaphore.layer({ identity }), SharedLock.layer({ identity })))

const inScope = <A, E, R>(effect: Effect.Effect<A, E, R | Scope.Scope>) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const result = yield* Scope.provide(effect, scope)
    return { result, close: Scope.close(scope, Exit.void) }
  })

/** A test on one store in memory, with metrics of its own. */
const scenario = (name: string, body: Effect.Effect<void, unknown, ObjectStore | Scope.Scope>) =>
  it.effect(name, () =>
    body.pipe(
      Effect.scoped,
      Effect.provide(ObjectStoreMemory.layer()),
      Effect.provideService(Metric.MetricRegistry, new Map())
    )
  )

/** The values of the series with these attributes, by their names. */
const valuesOf = (attributes: Readonly<Record<string, string>>) =>
  Effect.map(counted, (series) =>
    Object.fromEntries(
      series
        .filter((one) => Object.entries(attributes).every(([key, value]) => one.attributes[key] === value))
        .map((one) => [
          one.attributes["reason"] === undefined ? one.id : `${one.id} ${one.attributes["reason"]}`,
          one.value
        ])
    )
  )

describe("the metrics of", () => {
  for (const { acquire, attributes, break: breakIt, exclude, name } of kinds) {
    scenario(
      name,
      Effect.gen(function* () {
        const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
        const by =
          (who: Context.Context<Services>) =>
          <A, E, R>(effect: Effect.Effect<A, E, R>) =>
            Effect.provideContext(effect, who)
        const byThem = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
          Effect.provideService(by(them)(effect), Metric.MetricRegistry, new Map())

        // One waits until the time-out.
        const excluding = yield* byThem(inScope(exclude))
        const waiting = yield* Effect.forkChild(by(us)(Effect.flip(Effect.scoped(acquire))), { startImmediately: true })
        assert.strictEqual((yield* valuesOf(attributes))["kubelock_waiting"], 1)
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(waiting)
        yield* excluding.close

        // One holds, renews, holds for longer than expected, and is broken.
        const held = yield* by(us)(inScope(acquire))
        const during = yield* valuesOf(attributes)
        assert.strictEqual(during["kubelock_held"], 1)
        assert.strictEqual(during["kubelock_permits_held"], attributes["kind"] === "semaphore" ? 2 : undefined)
        yield* TestClock.adjust("4 seconds")
        assert.strictEqual((yield* valuesOf(attributes))["kubelock_overdue"], 1)
        yield* by(us)(breakIt)
        yield* TestClock.adjust("4 seconds")
        yield* held.close

        // One fails.
        yield* Effect.flip(by(us)(Effect.scoped(Lock.scoped("No Name", { countedAs: attributes["kind"] }))))

        const { kubelock_conflicts_total, ...rest } = yield* valuesOf(attributes)
        assert.isAtLeast(kubelock_conflicts_total ?? 0, attributes["mode"] === undefined ? 1 : 0)
        assert.deepInclude(rest, {
          kubelock_acquisitions_total: 1,
          kubelock_timeouts_total: 1,
          "kubelock_losses_total Removed": 1,
          kubelock_renewals_total: 1,
          kubelock_held: 0,
          kubelock_waiting: 0,
          kubelock_overdue: 0,
          kubelock_wait_seconds: 1,
          kubelock_hold_seconds: 1
        })
      })
    )
  }

  scenario(
    "an expired lock that is taken over, a lock that is broken, and an acquisition that fails",
    Effect.gen(function* () {
      const store = yield* ObjectStore
      const us = yield* aProcess("us")
      yield* store.create(id, dexLockUntil(0))
      yield* TestClock.adjust("2 seconds")
      yield* Effect.gen(function* () {
        yield* Effect.scoped(Lock.scoped(id))
        const held = yield* inScope(Lock.scoped(id))
        yield* Lock.break(id)
        yield* held.close
        yield* Effect.flip(Effect.scoped(Lock.scoped("No Name")))
      }).pipe(Effect.provideContext(us))
      assert.deepInclude(yield* valuesOf({ kind: "lock" }), { kubelock_takeovers_total: 1, kubelock_breaks_total: 1 })
      assert.deepInclude(yield* valuesOf({ error: "LockInvalidName" }), { kubelock_failures_total: 1 })
    })
  )

  scenario(
    "an election, under the names of client-go, also of a candidate that never led",
    Effect.gen(function* () {
      const elections = yield* LeaderElection.make({ identity: "us", announces: false })
      const status = Effect.map(valuesOf({ name: "reports" }), (values) => values["leader_election_master_status"])
      const waiting = yield* Effect.forkChild(
        Effect.andThen(LeaderElection.scoped("reports"), Effect.never).pipe(
          Effect.scoped,
          Effect.provideService(LeaderElection.LeaderElection, elections)
        ),
        { startImmediately: true }
      )
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* status, 1)
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.interrupt(waiting)
      assert.strictEqual(yield* status, 0)
      const values = yield* valuesOf({ kind: "election" })
      assert.include(values, { kubelock_acquisitions_total: 1, kubelock_held: 0, kubelock_hold_seconds: 1 })
      assert.isAtLeast(values["kubelock_renewals_total"]!, 2)
    })
  )

  scenario(
    "a candidate that never led",
    Effect.gen(function* () {
      const campaign = (identity: string) =>
        Effect.flatMap(LeaderElection.make({ identity, announces: false }), (elections) =>
          Effect.forkScoped(Effect.scoped(Effect.andThen(elections.scoped("reports"), Effect.never)), {
            startImmediately: true
          })
        )
      yield* campaign("them")
      yield* TestClock.adjust("1 second")
      yield* campaign("us").pipe(Effect.provideService(Metric.MetricRegistry, ours))
      yield* TestClock.adjust("1 second")
      const status = yield* Effect.provideService(valuesOf({ name: "reports" }), Metric.MetricRegistry, ours)
      assert.deepStrictEqual(status, { leader_election_master_status: 0 })
    })
  )

  scenario(
    "runs that are done once",
    Effect.gen(function* () {
      const us = yield* aProcess("us")
      const store = yield* ObjectStore
      const wipe = Effect.gen(function* () {
        const { annotations, resourceVersion } = yield* store.read(id)
        const none: MetadataPatch = Object.fromEntries(Object.keys(annotations).map((key) => [key, null]))
        yield* store.compareAndSwap(id, { expect: { resourceVersion }, annotations: none })
      })
      yield* Effect.gen(function* () {
        yield* Once.run(id, 1000)(Effect.void)
        yield* Once.run(id, 1000)(Effect.void)
        yield* Effect.flip(Once.run(id, 2000)(Effect.fail("the work failed")))
        yield* Effect.flip(Once.run(id, 2000)(wipe))
      }).pipe(Effect.provideContext(us))
      const outcomes = (yield* counted).filter((one) => one.id === "kubelock_once_runs_total")
      assert.deepStrictEqual(
        Object.fromEntries(outcomes.map(({ attributes, value }) => [attributes["outcome"], value])),
        { Completed: 1, Skipped: 1, Failed: 1, NotRecorded: 1 }
      )
      assert.include(yield* valuesOf({ kind: "once" }), { kubelock_acquisitions_total: 4 })
      assert.include(yield* valuesOf({}), { kubelock_once_run_seconds: 3 })
    })
  )
})

const ours: Metric.MetricRegistry = new Map()

describe("the table of metrics", () => {
  const page = readFileSync(join(root, "docs/observability.md"), "utf8")
  const rows = [...page.matchAll(/^\| `([a-z_]+)` \| (\w+) \| ([\w ]*) \| (.*?) \| (.+?) \|$/gm)].map(
    ([, name, type, unit, labels]) => ({ name: name!, type: type!, unit: unit!, labels: labels! })
  )

  it("has every metric of the code, with its type and its unit, and no other", () => {
    assert.deepStrictEqual(
      rows.map(({ name, type, unit }) => [name, type, unit]).toSorted(),
      publicMetrics(kubelock)
        .map(({ id, type }) => [id, type.toLowerCase(), id.endsWith("_seconds") ? "seconds" : ""])
        .toSorted()
    )
  })
})
