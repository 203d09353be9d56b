/** Nothing spins, nothing hangs for good, and several locks are either all valid or not given at all. */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Lock from "../../../src/Lock.ts"
import * as LockError from "../../../src/LockError.ts"
import * as LockPolicy from "../../../src/LockPolicy.ts"
import { ObjectStore, type WatchEvent } from "../../../src/ObjectStore.ts"
import * as LockQueue from "../../../src/LockQueue.ts"
import * as LockRecord from "../../../src/LockRecord.ts"
import { contend } from "../../utils/contend.ts"
import * as FaultyStore from "../../utils/FaultyStore.ts"
import { dead, dexLockUntil, id, key, pass, setUp } from "../../utils/processes.ts"

describe("several locks", () => {
  it.effect("are given only if all are valid: one that ran out meanwhile fails the whole acquisition", () =>
    Effect.gen(function* () {
      const faulty = yield* FaultyStore.make(["a", "b"])
      const lock = yield* Lock.make({ identity: "us" }).pipe(Effect.provideService(ObjectStore, faulty.store))
      const other = yield* Lock.make({ identity: "them" }).pipe(Effect.provideService(ObjectStore, faulty.sound))
      const theirs = yield* Effect.forkChild(Effect.scoped(Effect.andThen(other.scoped("b"), Effect.never)), {
        startImmediately: true
      })
      const both = yield* Effect.forkChild(
        Effect.scoped(Effect.asVoid(Lock.scopedAll(["a", "b"], { renewEvery: false }))).pipe(
          Effect.provideService(Lock.Lock, lock),
          Effect.flip
        ),
        { startImmediately: true }
      )
      yield* TestClock.adjust("12 seconds")
      assert.isDefined(both.pollUnsafe(), "it waits on for the other one")
      yield* Fiber.interrupt(theirs)
      yield* TestClock.adjust("1 second")
      const error = yield* Fiber.join(both)
      assert.deepInclude(error, { _tag: "LockLost", id: "a" })
      yield* TestClock.adjust("1 second")
      const { annotations } = yield* faulty.sound.read("b")
      assert.deepStrictEqual({ ...annotations }, {})
    }).pipe(Effect.scoped)
  )
})

describe("a renewal that was applied, and whose answer was lost,", () => {
  it.effect("counts once a reading has shown it", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const us = yield* world.aProcess("us")
      const held = yield* (yield* us.wants()).held
      us.faults.push(["write", "Lost"], ["write", "None"])
      for (let i = 0; i < 100; i++) us.faults.push(["write", "Refused"])
      yield* pass(12_000, 100)
      assert.isTrue(yield* held.isValid)
      yield* pass(2500, 100)
      assert.isFalse(yield* held.isValid)
    }).pipe(Effect.scoped)
  )
})

describe("a process that has lost track of the server's time", () => {
  const setUpVague = Effect.gen(function* () {
    const world = yield* setUp
    const clock = { isVague: false }
    const us = yield* world.aProcess("us", {}, (store) => ({
      ...store,
      now: Effect.map(store.now, ({ earliest, latest }) =>
        clock.isVague ? { earliest: earliest - 8000, latest: latest + 8000 } : { earliest, latest }
      ),
      read: (id) => Effect.tap(store.read(id), () => Effect.sync(() => void (clock.isVague = false)))
    }))
    return { us, clock }
  })

  it.effect("reads before it renews", () =>
    Effect.gen(function* () {
      const { clock, us } = yield* setUpVague
      const held = yield* (yield* us.wants()).held
      us.requests.length = 0
      clock.isVague = true
      yield* TestClock.adjust("3400 millis")
      assert.deepStrictEqual(us.requests, ["read", "write"])
      assert.isTrue(yield* held.isValid)
    }).pipe(Effect.scoped)
  )

  it.effect("reads before it takes a lock that it has left free", () =>
    Effect.gen(function* () {
      const { clock, us } = yield* setUpVague
      const first = yield* us.wants()
      yield* first.held
      yield* first.letGo
      us.requests.length = 0
      clock.isVague = true
      const held = yield* (yield* us.wants()).held
      assert.deepStrictEqual(us.requests, ["read", "write"])
      assert.isTrue(yield* held.isValid)
    }).pipe(Effect.scoped)
  )
})

describe("the last of several locks", () => {
  it.effect(
    "is valid as well when all are given: one whose grant took longer than its lease fails the acquisition",
    () =>
      Effect.gen(function* () {
        const { store } = yield* FaultyStore.make(["a", "b"])
        const lock = yield* Lock.make({ identity: "us" }).pipe(
          Effect.provideService(ObjectStore, {
            ...store,
            compareAndSwap: (id, write) =>
              Effect.tap(store.compareAndSwap(id, write), () => Effect.sleep(id === "b" ? "12 seconds" : 0))
          })
        )
        const both = yield* Effect.forkChild(
          Effect.scoped(Effect.asVoid(Lock.scopedAll(["a", "b"]))).pipe(
            Effect.provideService(Lock.Lock, lock),
            Effect.flip
          ),
          { startImmediately: true }
        )
        yield* pass(40_000, 100)
        assert.deepInclude(yield* Fiber.join(both), { _tag: "LockLost", id: "b" })
      }).pipe(Effect.scoped)
  )
})

describe("a wait schedule without delays", () => {
  it.effect("makes at most a hundred attempts a second", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const us = yield* world.aProcess("us")
      us.watching.fault = new LockError.Rejected({ object: id, verb: "watch", status: 400, detail: "no watch" })
      yield* world.annotate(dexLockUntil(1000))
      yield* us.wants({ waitSchedule: Schedule.forever })
      us.requests.length = 0
      yield* TestClock.adjust("1 second")
      assert.isAtMost(us.requests.length, 101)
    }).pipe(Effect.scoped)
  )
})

describe("a server that accepts requests and never answers", () => {
  for (const [title, waitSchedule, seconds] of [
    ["a hundred milliseconds, twenty times", LockPolicy.fixedPolls("100 millis", 20), 2],
    ["Dex's schedule", LockPolicy.dexWaitSchedule, 20]
  ] as const) {
    it.effect(`is waited for as long as the wait schedule says, and at most one request longer: ${title}`, () =>
      Effect.gen(function* () {
        const world = yield* setUp
        const us = yield* world.aProcess("us")
        us.faults.push(...Array.from({ length: 300 }, () => ["read", "Hangs"] as const))
        const ours = yield* us.wants({ waitSchedule })
        yield* pass(seconds * 1000 - 100)
        assert.isUndefined(ours.fiber.pollUnsafe())
        yield* pass(5100)
        const exit = ours.fiber.pollUnsafe()
        assert.isDefined(exit, "it still waits")
        assert.deepInclude(yield* Effect.flip(exit), { _tag: "LockUnavailable" })
      }).pipe(Effect.scoped)
    )
  }

  it.effect("is asked again as often as a schedule without delays says", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const us = yield* world.aProcess("us")
      us.faults.push(...Array.from({ length: 10 }, () => ["read", "Hangs"] as const))
      const ours = yield* us.wants({ waitSchedule: Schedule.recurs(3) })
      yield* pass(30_000)
      assert.strictEqual(ours.fiber.pollUnsafe()?._tag, "Failure")
      assert.deepStrictEqual(us.requests, ["read", "read", "read", "read"])
    }).pipe(Effect.scoped)
  )
})

describe("a defect of the store in a release", () => {
  it.effect("does not block the id for the next contender of the process", () =>
    Effect.gen(function* () {
      const faulty = yield* FaultyStore.make([id])
      let isBroken = false
      const lock = yield* Lock.make({ identity: "us" }).pipe(
        Effect.provideService(ObjectStore, {
          ...faulty.store,
          compareAndSwap: (id, patch) =>
            isBroken ? Effect.die(new Error("a defect of the test")) : faulty.store.compareAndSwap(id, patch)
        })
      )
      const exit = yield* Effect.exit(
        Effect.scoped(
          Effect.andThen(
            lock.scoped(id),
            Effect.sync(() => void (isBroken = true))
          )
        )
      )
      assert.strictEqual(exit._tag, "Failure")
      isBroken = false
      const next = yield* Effect.forkChild(Effect.scoped(lock.scoped(id)), { startImmediately: true })
      yield* TestClock.adjust("15 seconds")
      yield* Fiber.join(next)
    }).pipe(Effect.scoped)
  )
})

describe("a watch that failed", () => {
  it.effect("is opened again within seconds, although contenders poll meanwhile", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const us = yield* world.aProcess("us")
      yield* world.annotate(dexLockUntil(1000))
      us.watching.fault = new LockError.Unauthorized({ object: id, detail: "it answered 401" })
      const ours = yield* us.wants({ waitSchedule: Schedule.spaced("100 millis") })
      yield* TestClock.adjust("1500 millis")
      us.watching.fault = undefined
      yield* TestClock.adjust("30 seconds")
      us.requests.length = 0
      yield* TestClock.adjust("10 seconds")
      assert.isAtMost(us.requests.length, 2)
      assert.isFalse(yield* ours.has)
    }).pipe(Effect.scoped)
  )
})

describe("a waiter that joins at the moment of a release", () => {
  it.effect("gets the lock, although the waiter that the holder knew of has left", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const them = yield* world.aProcess("them")
      const joins = LockQueue.joinPatch(key, dead(1), "1")
      let releases = 0
      const store = them.sound
      const lock = yield* Lock.make({ identity: "us" }).pipe(
        Effect.provideService(ObjectStore, {
          ...store,
          compareAndSwap: (id, patch) => {
            const next = patch.annotations[LockRecord.holderKey(key)]
            const isRelease = next === null || next?.startsWith("us/") === false
            if (isRelease && ++releases === 2) {
              return Effect.andThen(Effect.orDie(world.annotate(joins)), store.compareAndSwap(id, patch))
            }
            return store.compareAndSwap(id, patch)
          }
        })
      )
      const ours = yield* contend(lock, id)
      yield* ours.held
      const theirs = yield* them.wants()
      yield* TestClock.adjust("4 seconds")
      yield* Fiber.interrupt(theirs.fiber)
      yield* TestClock.adjust("100 millis")
      yield* ours.letGo
      yield* TestClock.adjust("500 millis")
      assert.isAtLeast(releases, 2)
      assert.strictEqual(yield* world.holder, "dead")
    }).pipe(Effect.scoped)
  )
})

describe("the deletion of a locked object", () => {
  it.effect("is noticed at once if the process still watches it", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const us = yield* world.aProcess("us")
      const them = yield* world.aProcess("them")
      const theirs = yield* them.wants()
      yield* theirs.held
      const ours = yield* us.wants()
      yield* TestClock.adjust("5 seconds")
      yield* theirs.letGo
      yield* TestClock.adjust("200 millis")
      const held = yield* ours.held
      const lost = yield* Effect.forkChild(Effect.flip(held.lost), { startImmediately: true })
      yield* us.delete(id)
      yield* TestClock.adjust("100 millis")
      assert.deepInclude(lost.pollUnsafe(), { _tag: "Success" })
      assert.deepInclude(yield* Fiber.join(lost), { _tag: "LockLost", reason: "Deleted" })
    }).pipe(Effect.scoped)
  )

  it.effect("that a watch tells by mistake is no loss, although a renewal is answered before the object is read", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const tells = Deferred.makeUnsafe<WatchEvent>()
      let isSlow = false
      const us = yield* world.aProcess("us", {}, (store) => ({
        ...store,
        read: (id) => Effect.tap(store.read(id), () => Effect.sleep(isSlow ? "4 seconds" : 0)),
        watch: (id, options) =>
          options?.label === undefined
            ? Stream.merge(store.watch(id, options), Stream.fromEffect(Deferred.await(tells)))
            : store.watch(id, options)
      }))
      const theirs = yield* (yield* world.aProcess("them")).wants()
      yield* theirs.held
      const ours = yield* us.wants()
      yield* TestClock.adjust("5 seconds")
      yield* theirs.letGo
      yield* TestClock.adjust("100 millis")
      const held = yield* ours.held
      isSlow = true
      yield* Deferred.succeed(tells, { _tag: "Deleted" })
      yield* pass(20_000, 100)
      assert.isTrue(yield* held.isValid)
    }).pipe(Effect.scoped)
  )
})

describe("a lock that is wiped with its queue intact", () => {
  it.effect("is handed to the first waiter when its holder releases", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const us = yield* world.aProcess("us")
      const them = yield* world.aProcess("them")
      const ours = yield* us.wants()
      yield* ours.held
      const theirs = yield* them.wants()
      yield* TestClock.adjust("100 millis")
      yield* world.annotate({ [key]: null, [`${key}-holder`]: null })
      yield* ours.letGo
      yield* TestClock.adjust("200 millis")
      assert.isTrue(yield* theirs.has)
    }).pipe(Effect.scoped)
  )
})
