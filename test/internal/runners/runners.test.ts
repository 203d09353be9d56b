/** What becomes of runners and their shards if processes die, are suspended or cut off, and if answers get lost. In virtual time. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as leaseSpec from "../../../src/internal/election/leaseSpec.ts"
import { make as makeRunners } from "../../../src/internal/runners/runners.ts"
import { leases as sessionLeases, type Session, type Sessions } from "../../../src/internal/session/session.ts"
import type { ObjectStore } from "../../../src/ObjectStore.ts"
import * as ObjectStoreMemory from "../../../src/ObjectStoreMemory.ts"
import * as LockError from "../../../src/LockError.ts"
import * as FaultyStore from "../../utils/FaultyStore.ts"
import { logged } from "../../utils/logged.ts"
import { aCluster, all, RunnerStores } from "../../utils/runners.ts"

const times = { shardLockExpiration: "6 seconds", shardLockRefreshInterval: "2 seconds" } as const

const setUp = Effect.gen(function* () {
  const [configMaps, leases] = [yield* ObjectStoreMemory.make(), yield* ObjectStoreMemory.make()]
  const { aRunner, name } = yield* aCluster(times).pipe(
    Effect.provideService(RunnerStores, { configMaps: configMaps.store, leases: leases.store, namespace: "default" })
  )
  return {
    configMaps,
    leases,
    name,
    aRunner: Effect.fnUntraced(function* (
      change: (store: ObjectStore["Service"]) => ObjectStore["Service"] = (store) => store
    ) {
      const faulty = { configMaps: FaultyStore.over(configMaps), leases: FaultyStore.over(leases) }
      const writes = { take: 0 }
      const slow = (store: ObjectStore["Service"]): ObjectStore["Service"] => ({
        ...store,
        compareAndSwap: (id, patch) => Effect.suspend(() => Effect.delay(store.compareAndSwap(id, patch), writes.take))
      })
      const runner = yield* aRunner((stores) => ({
        ...stores,
        configMaps: change(slow(faulty.configMaps.store)),
        leases: change(slow(faulty.leases.store))
      }))
      const stores = [faulty.configMaps, faulty.leases]
      return {
        ...runner,
        ...faulty,
        /** How many milliseconds its writes take. */
        writes,
        /** How many requests an operation makes. */
        counts: (operation: Effect.Effect<unknown, unknown>) =>
          Effect.gen(function* () {
            const made = () => stores.reduce((sum, { requests }) => sum + requests.length, 0)
            const before = made()
            yield* operation
            return made() - before
          }),
        /** From now on no request of it arrives, until it is mended. */
        isCutOff: Effect.sync(() => {
          for (const store of stores) FaultyStore.failAll(store, "Refused")
        }),
        isMended: Effect.sync(() => {
          for (const { faults } of stores) faults.length = 0
        })
      }
    })
  }
})

/** Lets time pass in steps. */
const pass = (millis: number, step = 100) =>
  Effect.gen(function* () {
    for (let passed = 0; passed < millis; passed += step) yield* TestClock.adjust(step)
  })

const setUpTwo = Effect.gen(function* () {
  const world = yield* setUp
  return { ...world, a: yield* world.aRunner(), b: yield* world.aRunner() }
})

const forbidden = new LockError.Forbidden({ object: "configmaps", verb: "watch", status: 403, detail: "not allowed" })

/** Refreshes shards every interval, as `Sharding` does. */
const goesOn = (
  runner: { readonly refreshes: (...shards: ReadonlyArray<number>) => Effect.Effect<unknown, unknown> },
  shards = all(10)
) =>
  Effect.forkChild(
    Effect.forever(Effect.andThen(Effect.ignore(runner.refreshes(...shards)), Effect.sleep("2 seconds"))),
    { startImmediately: true }
  )

describe("runners", () => {
  it.effect("renew all their shards by one request, and ask for the runners by none", () =>
    Effect.gen(function* () {
      const { aRunner } = yield* setUp
      const a = yield* aRunner()
      yield* a.registers
      assert.deepStrictEqual(yield* a.acquires(...all(300)), all(300))
      assert.strictEqual(yield* a.counts(a.refreshes(...all(300))), 1)
      assert.strictEqual(yield* a.counts(a.refreshes()), 1)
      assert.strictEqual(yield* a.counts(a.storage.getRunners), 0)
    })
  )

  it.effect("acquire any number of shards by one write, and release many by two", () =>
    Effect.gen(function* () {
      const { aRunner } = yield* setUp
      const a = yield* aRunner()
      yield* a.acquires(1)
      assert.strictEqual(yield* a.counts(a.acquires(...all(300))), 1)
      assert.strictEqual(yield* a.counts(a.acquires(...all(300))), 0)
      assert.isAtMost(yield* a.counts(a.releases(...all(150))), 2)
      assert.deepStrictEqual(yield* a.refreshes(...all(300)), all(300).slice(150))
    })
  )

  it.effect("have one session, also if they register and acquire at the same time", () =>
    Effect.gen(function* () {
      const { aRunner } = yield* setUp
      const a = yield* aRunner((store) => ({
        ...store,
        create: (id, annotations, content) => Effect.delay(store.create(id, annotations, content), "10 millis")
      }))
      const starting = yield* Effect.forkChild(
        Effect.all([a.registers, a.acquires(1), a.refreshes()], { concurrency: "unbounded" }),
        { startImmediately: true }
      )
      yield* pass(100, 10)
      yield* Fiber.join(starting)
      assert.lengthOf(
        a.leases.requests.filter((request) => request === "write"),
        1
      )
      assert.deepStrictEqual(yield* a.refreshes(1), [1])
    })
  )

  it.effect("share one renewal if they are refreshed several times at once", () =>
    Effect.gen(function* () {
      const { aRunner } = yield* setUp
      const a = yield* aRunner()
      yield* a.acquires(...all(3))
      a.writes.take = 10
      const many = yield* Effect.forkChild(
        a.counts(Effect.forEach(all(3), (shard) => a.refreshes(shard), { concurrency: "unbounded" })),
        { startImmediately: true }
      )
      yield* pass(100)
      assert.strictEqual(yield* Fiber.join(many), 1)
      a.writes.take = 0
    })
  )

  it.effect("take the shards of a runner that died once its session has expired, and no sooner", () =>
    Effect.gen(function* () {
      const { a, b } = yield* setUpTwo
      yield* Effect.all([a.registers, b.registers])
      yield* goesOn(b)
      yield* a.acquires(...all(10))
      yield* pass(5900)
      assert.deepStrictEqual(yield* b.acquires(...all(10)), [])
      assert.lengthOf(yield* b.storage.getRunners, 2)
      assert.isTrue(yield* b.health.isAlive(a.address))
      yield* pass(1200)
      assert.isFalse(yield* b.health.isAlive(a.address))
      assert.deepStrictEqual(yield* b.acquires(...all(10)), all(10))
      assert.deepStrictEqual(yield* b.storage.getRunners, [[b.runner, true]])
    })
  )

  it.effect("ask once whether a session lives, however often they want its shards meanwhile", () =>
    Effect.gen(function* () {
      const { a, b } = yield* setUpTwo
      yield* a.acquires(1)
      yield* b.acquires(2)
      b.leases.requests.length = 0
      for (let times = 0; times < 5; times++) assert.deepStrictEqual(yield* b.acquires(1, 2), [2])
      assert.deepStrictEqual(b.leases.requests, ["read"])
    })
  )

  it.effect("remove many that died at once, one after the other", () =>
    Effect.gen(function* () {
      const { aRunner } = yield* setUp
      const runners = yield* Effect.forEach(all(20), () => aRunner())
      for (const { registers } of runners) yield* registers
      const [survivor] = runners
      yield* goesOn(survivor!)
      yield* pass(7200)
      assert.deepStrictEqual(yield* survivor!.storage.getRunners, [[survivor!.runner, true]])
      assert.strictEqual(yield* (yield* aRunner()).registers, 1)
    })
  )

  it.effect("remove one that died although they could not when its session ended", () =>
    Effect.gen(function* () {
      const { a, b } = yield* setUpTwo
      yield* Effect.all([a.registers, b.registers])
      yield* goesOn(b)
      yield* pass(3000)
      FaultyStore.failAll(b.configMaps, "Refused")
      yield* pass(6000)
      assert.lengthOf(yield* b.storage.getRunners, 2)
      yield* b.isMended
      yield* pass(5000)
      assert.deepStrictEqual(yield* b.storage.getRunners, [[b.runner, true]])
    })
  )

  it.effect("remove one that came and died although their watch tells nothing any more", () =>
    Effect.gen(function* () {
      const { aRunner } = yield* setUp
      let isSilent = false
      const b = yield* aRunner((store) => ({
        ...store,
        watch: (id, options) => Stream.filter(store.watch(id, options), () => !isSilent)
      }))
      yield* b.registers
      yield* goesOn(b)
      yield* pass(1000)
      isSilent = true
      const a = yield* aRunner()
      yield* a.registers
      yield* pass(20_000)
      const c = yield* aRunner()
      assert.deepStrictEqual(yield* c.storage.getRunners, [[b.runner, true]])
    })
  )

  it.effect("get nothing from a refresh once another has fenced them, and begin anew", () =>
    Effect.gen(function* () {
      const { a, b } = yield* setUpTwo
      yield* Effect.all([a.registers, b.registers])
      yield* a.acquires(...all(10))
      yield* goesOn(b)
      yield* pass(7200)
      assert.deepStrictEqual(yield* b.acquires(...all(5)), all(5))
      assert.deepStrictEqual(yield* a.refreshes(...all(10)), [])
      assert.deepStrictEqual(yield* a.refreshes(...all(10)), [])
      // It did not take 6 to 10 by that, so another can.
      assert.deepStrictEqual(yield* b.acquires(...all(8)), all(8))
      assert.deepStrictEqual(yield* a.storage.getRunners, [[b.runner, true]])
      assert.strictEqual(yield* a.registers, 0)
      assert.deepStrictEqual(yield* a.acquires(...all(10)), [9, 10])
      assert.deepStrictEqual([yield* a.holds(8), yield* a.holds(9), yield* b.holds(9)], [false, true, false])
      assert.deepStrictEqual(yield* a.refreshes(...all(10)), [9, 10])
      assert.lengthOf(yield* b.storage.getRunners, 2)
    })
  )

  it.effect("get nothing from the refresh that meets the fence", () =>
    Effect.gen(function* () {
      const { a, b, leases, name } = yield* setUpTwo
      yield* a.acquires(1, 2)
      // The Lease that a session opens on is a matter of chance.
      for (let number = 0; number < sessionLeases.atFirst; number++) {
        const id = `${name}-session-${number}`
        const found = yield* Effect.option(leases.store.read(id))
        if (Option.isNone(found)) continue
        yield* leases.store.compareAndSwap(id, {
          expect: { resourceVersion: found.value.resourceVersion },
          annotations: {},
          content: leaseSpec.fieldsIn(leaseSpec.released(0))
        })
      }
      assert.isTrue(yield* a.holds(1))
      assert.deepStrictEqual(yield* a.refreshes(1, 2), [])
      assert.isFalse(yield* a.holds(1))
      assert.deepStrictEqual(yield* b.acquires(1, 2), [1, 2])
    })
  )

  it.effect("stay healthy if they registered anew after their session, or their absence, was found", () =>
    Effect.gen(function* () {
      const { a, b } = yield* setUpTwo
      yield* a.registers
      yield* pass(7200)
      for (const { address, registers } of [a, b]) {
        assert.isFalse(yield* b.health.isAlive(address))
        yield* registers
        yield* b.storage.setRunnerHealth(address, false)
      }
      assert.deepStrictEqual(yield* b.storage.getRunners, [
        [a.runner, true],
        [b.runner, true]
      ])
      assert.isTrue(yield* b.health.isAlive(a.address))
      yield* b.storage.setRunnerHealth(a.address, false)
      assert.deepStrictEqual(yield* b.storage.getRunners, [
        [a.runner, false],
        [b.runner, true]
      ])
    })
  )

  it.effect("do not rely on a session that another fenced while an acquisition was under way", () =>
    Effect.gen(function* () {
      const { a, b } = yield* setUpTwo
      yield* a.acquires(1)
      yield* pass(5500)
      assert.isTrue(yield* a.holds(1))
      a.writes.take = 1000
      const late = yield* Effect.forkChild(a.acquires(2, 3), { startImmediately: true })
      yield* pass(600)
      assert.isFalse(yield* a.holds(1))
      yield* pass(600)
      assert.deepStrictEqual(yield* Fiber.join(late), [])
      a.writes.take = 0
      assert.deepStrictEqual(yield* b.acquires(1, 2, 3), [1, 2, 3])
      assert.deepStrictEqual(yield* a.refreshes(1, 2, 3), [])
    })
  )

  it.effect("fail to refresh while the API server is out of reach, also without shards, and go on afterwards", () =>
    Effect.gen(function* () {
      const { aRunner } = yield* setUp
      const a = yield* aRunner()
      yield* a.acquires(1, 2)
      yield* a.isCutOff
      for (const operation of [a.refreshes(1, 2), a.refreshes(), a.acquires(3), a.releases(1)]) {
        const failed = yield* Effect.forkChild(Effect.flip(operation), { startImmediately: true })
        yield* pass(1000)
        assert.strictEqual((yield* Fiber.join(failed))._tag, "PersistenceError")
      }
      yield* a.isMended
      assert.deepStrictEqual(yield* a.refreshes(), [])
      // Another may have what it wanted to release.
      assert.deepStrictEqual(yield* a.refreshes(1, 2), [2])
      assert.deepStrictEqual(yield* a.acquires(1, 2), [1, 2])
      assert.deepStrictEqual(yield* a.refreshes(1, 2), [1, 2])
      yield* a.isCutOff
      yield* pass(7000)
      // Its session has expired. What ran on its shards must stop at once.
      assert.deepStrictEqual(yield* a.refreshes(1, 2), [])
      const probe = yield* Effect.forkChild(Effect.flip(a.refreshes()), { startImmediately: true })
      yield* pass(2000)
      assert.strictEqual((yield* Fiber.join(probe))._tag, "PersistenceError")
      yield* a.isMended
      assert.deepStrictEqual(yield* a.refreshes(), [])
      assert.deepStrictEqual(yield* a.acquires(1, 2), [1, 2])
    })
  )

  it.effect("end every operation before the next refresh, whatever hangs, and recover", () =>
    Effect.gen(function* () {
      const { aRunner } = yield* setUp
      let hangs = false
      const end = Latch.makeUnsafe(false)
      const hanging = <A, E>(request: Effect.Effect<A, E>): Effect.Effect<A, E> =>
        Effect.suspend(() => (hangs ? Effect.andThen(Effect.uninterruptible(end.await), request) : request))
      const a = yield* aRunner((store) => ({
        ...store,
        read: (id) => hanging(store.read(id)),
        create: (id, annotations, content) => hanging(store.create(id, annotations, content)),
        compareAndSwap: (id, patch) => hanging(store.compareAndSwap(id, patch))
      }))
      yield* Effect.addFinalizer(() => end.open)
      yield* a.registers
      yield* a.acquires(1, 2)
      for (const operation of [
        () => a.refreshes(1, 2),
        () => a.refreshes(),
        () => a.acquires(3),
        () => a.releases(1),
        () => a.storage.releaseAll(a.address),
        () => a.storage.register(a.runner, false),
        () => a.storage.unregister(a.address),
        () => a.storage.setRunnerHealth(a.address, false)
      ]) {
        hangs = true
        const failed = yield* Effect.forkChild(Effect.flip(operation()), { startImmediately: true })
        yield* pass(1900, 1900)
        assert.isDefined(failed.pollUnsafe())
        assert.strictEqual((yield* Fiber.join(failed))._tag, "PersistenceError")
        hangs = false
        yield* a.refreshes()
        yield* a.acquires(1, 2)
      }
      assert.deepStrictEqual(yield* a.refreshes(1, 2), [1, 2])
    })
  )

  it.effect("end questions and the first registration before the next refresh, and count as alive meanwhile", () =>
    Effect.gen(function* () {
      const { aRunner } = yield* setUp
      let hangs = false
      const end = Latch.makeUnsafe(false)
      const hanging = (store: ObjectStore["Service"]): ObjectStore["Service"] => ({
        ...store,
        read: (id) =>
          Effect.suspend(() =>
            hangs ? Effect.andThen(Effect.uninterruptible(end.await), store.read(id)) : store.read(id)
          )
      })
      const [a, b] = [yield* aRunner(hanging), yield* aRunner(hanging)]
      yield* Effect.addFinalizer(() => end.open)
      // It has to ask.
      a.configMaps.watching.fault = forbidden
      yield* a.registers
      hangs = true
      const failing = [Effect.isFailure(a.storage.getRunners), Effect.isFailure(b.registers)]
      for (const operation of [...failing, a.health.isAlive(a.address)]) {
        const ending = yield* Effect.forkChild(operation, { startImmediately: true })
        yield* pass(1900, 1900)
        assert.isDefined(ending.pollUnsafe())
        assert.isTrue(yield* Fiber.join(ending))
      }
    })
  )

  it.effect("find shards whose acquisition was given up, and release those that the cluster has forgotten", () =>
    Effect.gen(function* () {
      const { a, b } = yield* setUpTwo
      yield* a.acquires(1)
      a.writes.take = 1000
      const given = yield* Effect.forkChild(a.acquires(2, 3), { startImmediately: true })
      yield* pass(100)
      yield* Fiber.interrupt(given)
      a.writes.take = 0
      yield* pass(1000)
      assert.deepStrictEqual(yield* a.acquires(3), [3])
      const refreshing = yield* goesOn(a, [1, 3])
      yield* pass(5000)
      assert.deepStrictEqual(yield* b.acquires(1, 2, 3), [])
      yield* pass(5000)
      assert.deepStrictEqual(yield* b.acquires(1, 2, 3), [2])
      yield* Fiber.interrupt(refreshing)
    })
  )

  for (const what of ["one shard", "all shards"] as const) {
    it.effect(`release ${what} at the next refresh if they could not before`, () =>
      Effect.gen(function* () {
        const { a, b } = yield* setUpTwo
        yield* a.acquires(1, 2)
        a.configMaps.faults.push(["write", "Refused"])
        yield* Effect.flip(what === "one shard" ? a.releases(1) : a.storage.releaseAll(a.address))
        const left = what === "one shard" ? [2] : []
        assert.deepStrictEqual(yield* a.refreshes(...left), left)
        yield* pass(100)
        assert.deepStrictEqual(yield* b.acquires(1, 2), what === "one shard" ? [1] : [1, 2])
      })
    )
  }

  it.effect("count a shard as gone if its release was not answered, also if the watch is late", () =>
    Effect.gen(function* () {
      const { aRunner } = yield* setUp
      const a = yield* aRunner((store) => ({
        ...store,
        watch: (id, options) => Stream.tap(store.watch(id, options), () => Effect.sleep("1 second"))
      }))
      const b = yield* aRunner()
      yield* a.acquires(1, 2)
      yield* pass(2000)
      a.configMaps.faults.push(["write", "Lost"])
      yield* Effect.flip(a.releases(1))
      assert.deepStrictEqual(yield* b.acquires(1, 2), [1])
      assert.isFalse(yield* a.holds(1))
      assert.deepStrictEqual(yield* a.refreshes(1, 2), [2])
      assert.deepStrictEqual(yield* a.acquires(1, 2), [2])
      yield* a.releases(1)
      assert.deepStrictEqual(yield* b.refreshes(1, 2), [1])
    })
  )

  it.effect("lose their shards if the ConfigMap is deleted", () =>
    Effect.gen(function* () {
      const { a, b, configMaps, name } = yield* setUpTwo
      yield* a.acquires(1, 2)
      yield* configMaps.delete(`${name}-shards-default`)
      yield* pass(100)
      assert.deepStrictEqual(yield* a.refreshes(1, 2), [])
      assert.deepStrictEqual(yield* b.acquires(1), [1])
      assert.deepStrictEqual(yield* a.acquires(1, 2), [2])
    })
  )

  it.effect("fail rather than guess if somebody has garbled the ConfigMap", () =>
    Effect.gen(function* () {
      const { a, b, configMaps, name } = yield* setUpTwo
      yield* a.acquires(1, 2)
      const id = `${name}-shards-default`
      const garble = (value: string | null) =>
        Effect.flatMap(configMaps.store.read(id), ({ resourceVersion }) =>
          configMaps.store.compareAndSwap(id, {
            expect: { resourceVersion },
            annotations: {},
            content: [{ path: ["data", "garbled"], value }]
          })
        )
      yield* garble("x")
      const { cause } = yield* Effect.flip(b.acquires(3))
      assert.match((cause as Error).message, /garbled is "x".*Correct it/)
      yield* garble(null)
      assert.deepStrictEqual(yield* b.acquires(2, 3), [3])
    })
  )

  it.effect("work without the right to watch", () =>
    Effect.gen(function* () {
      const { a, b } = yield* setUpTwo
      b.configMaps.watching.fault = forbidden
      yield* b.registers
      yield* a.registers
      assert.lengthOf(yield* b.storage.getRunners, 2)
      yield* a.acquires(1)
      assert.deepStrictEqual(yield* b.acquires(1, 2), [2])
      yield* a.closes
      assert.deepStrictEqual(yield* b.acquires(1, 2), [1, 2])
      assert.lengthOf(yield* b.storage.getRunners, 1)
    })
  )

  it.effect("know of runners what they read, if their watch has failed", () =>
    Effect.gen(function* () {
      const { aRunner } = yield* setUp
      const fails = Latch.makeUnsafe(false)
      const failing = Stream.fromEffect(Effect.andThen(fails.await, Effect.fail(forbidden)))
      const a = yield* aRunner((store) => ({
        ...store,
        watch: (id, options) => Stream.merge(store.watch(id, options), failing)
      }))
      yield* a.registers
      assert.lengthOf(yield* a.storage.getRunners, 1)
      yield* fails.open
      yield* pass(100)
      const b = yield* aRunner()
      yield* b.registers
      assert.lengthOf(yield* a.storage.getRunners, 2)
    }).pipe(logged)
  )

  it.effect("go on if etcd was restored and versions went back, also without the right to watch", () =>
    Effect.gen(function* () {
      const { aRunner } = yield* setUp
      let ahead = 1000
      const shift = (version: string, by: number) => String(Number(version) + by)
      const seen = <S extends { readonly resourceVersion: string }>(snapshot: S): S => ({
        ...snapshot,
        resourceVersion: shift(snapshot.resourceVersion, ahead)
      })
      const a = yield* aRunner((store) => ({
        ...store,
        read: (id) => Effect.map(store.read(id), seen),
        create: (id, annotations, content) => Effect.map(store.create(id, annotations, content), Option.map(seen)),
        compareAndSwap: (id, patch) => {
          const { expect } = patch
          const shifted =
            "resourceVersion" in expect
              ? { ...patch, expect: { resourceVersion: shift(expect.resourceVersion, -ahead) } }
              : patch
          return Effect.map(store.compareAndSwap(id, shifted as typeof patch), Option.map(seen))
        }
      }))
      a.configMaps.watching.fault = forbidden
      assert.strictEqual(yield* a.registers, 0)
      assert.deepStrictEqual(yield* a.acquires(1, 2), [1, 2])
      ahead = 0
      const restored = yield* Effect.forkChild(Effect.andThen(Effect.ignore(a.refreshes(1)), a.acquires(3)), {
        startImmediately: true
      })
      yield* pass(5000)
      const answered = restored.pollUnsafe()
      ahead = 1000
      assert.deepStrictEqual(answered, Exit.succeed([3]))
    })
  )

  it.effect("open no session for a client, which only asks for runners", () =>
    Effect.gen(function* () {
      const { aRunner } = yield* setUp
      const [runner, client] = [yield* aRunner(), yield* aRunner()]
      yield* runner.registers
      assert.lengthOf(yield* client.storage.getRunners, 1)
      yield* pass(1000)
      assert.lengthOf(yield* client.storage.getRunners, 1)
      assert.deepStrictEqual(client.leases.requests, [])
    })
  )

  it.effect("give another machine id to a second process with the same address", () =>
    Effect.gen(function* () {
      const { a, b } = yield* setUpTwo
      assert.strictEqual(yield* a.registers, 0)
      assert.strictEqual(yield* b.storage.register(a.runner, true), 1)
      assert.lengthOf(yield* b.storage.getRunners, 1)
      yield* a.storage.unregister(a.address)
      assert.lengthOf(yield* b.storage.getRunners, 1)
    })
  )
})

describe("an acquisition whose session has ended before its write", () => {
  it.effect("takes nothing from the next session on the same Lease", () =>
    Effect.gen(function* () {
      const { store } = yield* ObjectStoreMemory.make()
      let isValid = true
      let meanwhile: Effect.Effect<unknown, LockError.StoreError> = Effect.void
      const racing: ObjectStore["Service"] = {
        ...store,
        compareAndSwap: (id, patch) =>
          Effect.andThen(
            Effect.suspend(() => meanwhile),
            store.compareAndSwap(id, patch)
          )
      }
      const session: Session = {
        reference: { namespace: "jobs", name: "session-1", uid: "uid", incarnation: "us/000000000000.1" },
        isValid: () => isValid,
        remaining: () => 1000,
        lost: Effect.never,
        renew: Effect.succeed(true)
      }
      const sessions: Sessions = {
        open: Effect.succeed(session),
        hasEnded: () => false,
        onEnd: () => () => {},
        wait: () => Effect.never,
        ask: () => Effect.succeed({ _tag: "Ended" })
      }
      const { acquire } = yield* makeRunners(racing, sessions, {
        name: "jobs",
        namespace: "jobs",
        expiration: Duration.seconds(6),
        interval: Duration.seconds(2)
      })
      assert.deepStrictEqual(yield* acquire("us", ["default:1"]), ["default:1"])
      const id = "jobs-shards-default"
      const theirs = "uid them/000000000000.1: 2"
      meanwhile = Effect.suspend(() => {
        isValid = false
        meanwhile = Effect.void
        return Effect.flatMap(store.read(id), ({ resourceVersion }) =>
          store.compareAndSwap(id, {
            expect: { resourceVersion },
            annotations: {},
            content: [{ path: ["data", "session-1"], value: theirs }]
          })
        )
      })
      assert.deepStrictEqual(yield* acquire("us", ["default:3"]), [])
      assert.deepStrictEqual((yield* store.read(id)).content!["data"], { "session-1": theirs })
    })
  )
})
