import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import * as Lock from "../src/Lock.ts"
import * as LockError from "../src/LockError.ts"
import * as LockPolicy from "../src/LockPolicy.ts"
import * as LockRecord from "../src/LockRecord.ts"
import { ObjectStore } from "../src/ObjectStore.ts"
import * as FaultyStore from "./utils/FaultyStore.ts"
import { dexLockUntil, id, key, setUp as setUpProcesses, untouched } from "./utils/processes.ts"
import * as SkewedClock from "./utils/SkewedClock.ts"

/** One object and two processes. The faults and the number of requests are those of the first one, `us`. */
const setUp = Effect.gen(function* () {
  const world = yield* setUpProcesses
  const [us, them] = [yield* world.aProcess("us"), yield* world.aProcess("them")]
  return { ...us, ...world, us: us.lock, them: them.lock }
})

/** A store with several objects, and the lock as a service. */
const setUpMany = (...objects: ReadonlyArray<string>) =>
  Effect.map(FaultyStore.make(objects), (faulty) => ({
    ...faulty,
    layer: Lock.layer().pipe(Layer.provide(Layer.succeed(ObjectStore, faulty.store)))
  }))

/** The times of the first `count` writes of an acquisition, in milliseconds since it began. */
const timesOfWrites = Effect.fnUntraced(function* (store: ObjectStore["Service"], count: number) {
  const began = yield* Clock.currentTimeMillis
  const times: Array<number> = []
  const compareAndSwap: typeof store.compareAndSwap = (id, write) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      times.push(now - began)
      return store.compareAndSwap(id, write)
    })
  const lock = yield* Lock.make().pipe(Effect.provideService(ObjectStore, { ...store, compareAndSwap }))
  const waiting = yield* Effect.forkChild(Effect.scoped(lock.scoped(id)), { startImmediately: true })
  for (let passed = 0; times.length < count && passed < 6000; passed++) yield* TestClock.adjust("1 millis")
  yield* Fiber.interrupt(waiting)
  yield* TestClock.adjust("10 seconds")
  return times
})

/** Runs an effect twenty times, with random numbers from a seed, and returns the longest time. */
const longestOf = <E, R>(millis: Effect.Effect<number, E, R>, seed: string): Effect.Effect<number, E, R> =>
  Effect.forEach(Array.from({ length: 20 }), () => millis).pipe(
    Random.withSeed(seed),
    Effect.map((all) => Math.max(...all))
  )

describe("waiting", () => {
  it.effect("backs off after a lost race, for longer if the server took longer to answer", () =>
    Effect.gen(function* () {
      const { sound } = yield* setUp
      for (const [name, took, most] of [
        ["fast", 1, 20],
        ["slow", 50, 400],
        ["slowest", 800, 4000]
      ] as const) {
        const store = { ...sound, compareAndSwap: () => Effect.delay(Effect.succeedNone, took) }
        const pause = Effect.map(timesOfWrites(store, 2), ([first, second]) => second! - first! - took)
        const longest = yield* longestOf(pause, "lost races")
        assert.isAtMost(longest, most, name)
        assert.isAtLeast(longest, most * 0.7, name)
      }
    })
  )

  it.effect("joins the queue at once after a quick read, and after a pause if the read was slow", () =>
    Effect.gen(function* () {
      const { sound, them } = yield* setUp
      yield* them.scoped(id)
      const longestPause = (took: number) => {
        const store = { ...sound, read: (id: string) => Effect.delay(sound.read(id), took) }
        return longestOf(
          Effect.map(timesOfWrites(store, 1), ([first]) => first! - took),
          "slow looks"
        )
      }
      assert.isAtMost(yield* longestPause(20), 1)
      const slow = yield* longestPause(50)
      assert.isAtMost(slow, 400)
      assert.isAtLeast(slow, 280)
    }).pipe(Effect.scoped)
  )

  it.effect("ends with its schedule, also while it backs off after lost races", () =>
    Effect.gen(function* () {
      const { sound } = yield* setUp
      const lock = yield* Lock.make().pipe(
        Effect.provideService(ObjectStore, {
          ...sound,
          compareAndSwap: () => Effect.delay(Effect.succeedNone, "150 millis")
        })
      )
      const waited = Effect.gen(function* () {
        const waitSchedule = LockPolicy.fixedPolls("100 millis", 5)
        const waiting = yield* Effect.forkChild(Effect.flip(Effect.scoped(lock.scoped(id, { waitSchedule }))))
        yield* TestClock.adjust("3 seconds")
        const error = yield* Fiber.join(waiting)
        assert.strictEqual(error._tag, "LockTimeout")
        return error._tag === "LockTimeout" ? Duration.toMillis(error.waited) : 0
      })
      // The first write, the schedule, and a write that began before the end of the schedule.
      assert.isAtMost(yield* longestOf(waited, "lost races"), 150 + 500 + 150 + 1)
    })
  )

  it.effect("times out after 20 seconds, as Dex does, and makes no request meanwhile", () =>
    Effect.gen(function* () {
      const { annotate, requests, us } = yield* setUp
      yield* annotate(dexLockUntil(3600))
      requests.length = 0
      const waiting = yield* Effect.forkChild(Effect.flip(us.scoped(id)))
      yield* TestClock.adjust("19999 millis")
      assert.isUndefined(waiting.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      const timeout = yield* Fiber.join(waiting)
      assert.deepInclude(timeout, { _tag: "LockTimeout", attempts: 1, waited: Duration.seconds(20) })
      assert.strictEqual(
        timeout.message,
        `Gave up waiting for lock "token" (token in memory) after 20s and 1 attempt. Last holder seen: unnamed, probably Dex, until 1970-01-01T01:00:00Z.`
      )
      assert.deepStrictEqual(requests, ["read"])
    })
  )

  it.effect("takes over a lock once it has expired, and not earlier", () =>
    Effect.gen(function* () {
      const { annotate, us } = yield* setUp
      yield* annotate(dexLockUntil(5))
      const waiting = yield* Effect.forkChild(us.scoped(id))
      yield* TestClock.adjust("5 seconds")
      assert.isUndefined(waiting.pollUnsafe())
      yield* TestClock.adjust("100 millis")
      yield* Fiber.join(waiting)
    })
  )

  it.effect("follows any schedule", () =>
    Effect.gen(function* () {
      const { annotate, requests, us } = yield* setUp
      yield* annotate(dexLockUntil(3600))
      requests.length = 0
      const waitSchedule = Schedule.exponential("1 second").pipe(Schedule.upTo({ duration: "10 seconds" }))
      const waiting = yield* Effect.forkChild(Effect.flip(us.scoped(id, { waitSchedule })))
      yield* TestClock.adjust("1 minute")
      assert.deepInclude(yield* Fiber.join(waiting), { _tag: "LockTimeout" })
      assert.lengthOf(requests, 1)
    })
  )

  it.effect("can be interrupted, and leaves nothing behind", () =>
    Effect.gen(function* () {
      const { annotate, annotations, requests, us } = yield* setUp
      yield* annotate(dexLockUntil(3600))
      const before = yield* annotations
      const waiting = yield* Effect.forkChild(us.scoped(id))
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(waiting)
      requests.length = 0
      yield* TestClock.adjust("1 minute")
      assert.lengthOf(requests, 0)
      assert.deepStrictEqual(yield* annotations, before)
    })
  )

  it.effect("fails if the lock becomes malformed meanwhile, and if the object is deleted", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      yield* world.annotate(dexLockUntil(3600))
      const first = yield* Effect.forkChild(Effect.flip(world.us.scoped(id)))
      const second = yield* Effect.forkChild(Effect.flip(world.them.scoped(id)))
      yield* TestClock.adjust("1 second")
      yield* world.annotate({ [key]: "soon" })
      yield* TestClock.adjust("100 millis")
      assert.strictEqual((yield* Fiber.join(first))._tag, "LockMalformed")
      assert.strictEqual((yield* Fiber.join(second))._tag, "LockMalformed")
      yield* world.annotate(dexLockUntil(3600))
      const third = yield* Effect.forkChild(Effect.flip(world.us.scoped(id)))
      yield* TestClock.adjust("1 second")
      yield* world.delete(id)
      yield* TestClock.adjust("100 millis")
      assert.strictEqual((yield* Fiber.join(third))._tag, "LockNotFound")
    })
  )

  it.effect("outlasts an outage that ends before the schedule does", () =>
    Effect.gen(function* () {
      const { faults, us } = yield* setUp
      faults.push(["read", "Refused"], ["write", "Refused"], ["read", "Refused"])
      const waiting = yield* Effect.forkChild(us.scoped(id))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(waiting)
    })
  )

  it.effect("fails with the error of an outage that does not end", () =>
    Effect.gen(function* () {
      const { faults, us } = yield* setUp
      faults.push(...Array.from({ length: 500 }, () => ["read", "Refused"] as const))
      const waiting = yield* Effect.forkChild(Effect.flip(us.scoped(id)))
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "LockUnavailable")
    })
  )

  it.effect("waits as long as an overloaded server asks it to", () =>
    Effect.gen(function* () {
      const { faults, requests, us } = yield* setUp
      const overloaded = { object: id, verb: "get", status: 429, detail: "429", retryAfter: Duration.seconds(3) }
      faults.push(["read", new LockError.Unavailable(overloaded)])
      const waiting = yield* Effect.forkChild(us.scoped(id))
      yield* TestClock.adjust("2900 millis")
      assert.lengthOf(requests, 1)
      yield* TestClock.adjust("100 millis")
      yield* Fiber.join(waiting)
    })
  )

  it.effect("does not repeat a request whose answer is final", () =>
    Effect.gen(function* () {
      const { faults, requests, us } = yield* setUp
      const forbidden = new LockError.Forbidden({ object: id, verb: "patch", status: 403, detail: "no" })
      faults.push(["write", forbidden])
      assert.strictEqual(yield* Effect.flip(us.scoped(id)), forbidden)
      assert.deepStrictEqual(requests, ["read", "write"])
    })
  )
})

describe("holding", () => {
  it.effect("costs three requests the first time, two the next time, and one for each renewal", () =>
    Effect.gen(function* () {
      const { requests, us } = yield* setUp
      yield* Effect.scoped(us.scoped(id))
      assert.deepStrictEqual(requests, ["read", "write", "write"])
      requests.length = 0
      yield* Effect.scoped(us.scoped(id))
      assert.deepStrictEqual(requests, ["write", "write"])
      requests.length = 0
      yield* Effect.scoped(Effect.andThen(us.scoped(id), TestClock.adjust("10 seconds")))
      assert.deepStrictEqual(requests, ["write", "write", "write", "write", "write"])
    })
  )

  it.effect("costs no read if the caller has just read the object", () =>
    Effect.gen(function* () {
      const { annotate, requests, sound, us } = yield* setUp
      yield* Effect.scoped(us.scoped(id, { snapshot: yield* sound.read(id) }))
      assert.deepStrictEqual(requests, ["write", "write"])
      const stale = yield* sound.read(id)
      yield* annotate({ "example.com/other": "p" })
      requests.length = 0
      yield* Effect.scoped(us.scoped(id, { snapshot: stale }))
      assert.deepStrictEqual(requests, ["write", "read", "write", "write"])
      yield* annotate(dexLockUntil(3600))
      requests.length = 0
      const refused = yield* Effect.flip(Effect.scoped(us.tryScoped(id, { snapshot: yield* sound.read(id) })))
      assert.strictEqual(refused._tag, "LockConflict")
      assert.lengthOf(requests, 0)
    })
  )

  it.effect("reads again if the object differs from the cached version", () =>
    Effect.gen(function* () {
      const { annotate, delete: remove, requests, sound, us } = yield* setUp
      yield* Effect.scoped(us.scoped(id))
      yield* annotate({ "example.com/other": "p" })
      requests.length = 0
      yield* Effect.scoped(us.scoped(id))
      assert.deepStrictEqual(requests, ["write", "read", "write", "write"])
      yield* annotate(dexLockUntil(3600))
      assert.strictEqual((yield* Effect.flip(Effect.scoped(us.tryScoped(id))))._tag, "LockConflict")
      requests.length = 0
      assert.strictEqual((yield* Effect.flip(Effect.scoped(us.tryScoped(id))))._tag, "LockConflict")
      assert.deepStrictEqual(requests, ["read"])
      yield* annotate({ [key]: null })
      yield* Effect.scoped(us.scoped(id))
      yield* remove(id)
      assert.strictEqual((yield* Effect.flip(Effect.scoped(us.scoped(id))))._tag, "LockNotFound")
      yield* sound.create(id, {})
      yield* Effect.scoped(us.scoped(id))
    })
  )

  it.effect("reads first if it does not know the time exactly: the expiry would lie too far ahead", () =>
    Effect.gen(function* () {
      const { requests, store } = yield* setUp
      const unsure = { ...store, now: Effect.succeed({ earliest: 0, latest: 10_001 }) }
      const lock = yield* Lock.make().pipe(Effect.provideService(ObjectStore, unsure))
      yield* Effect.scoped(lock.scoped(id))
      yield* Effect.scoped(lock.scoped(id))
      assert.deepStrictEqual(requests, ["read", "write", "write", "read", "write", "write"])
    })
  )

  it.effect("lasts for hours on a lease of ten seconds", () =>
    Effect.gen(function* () {
      const { them, us } = yield* setUp
      const held = yield* us.scoped(id)
      for (let hour = 0; hour < 3; hour++) {
        yield* TestClock.adjust("1 hour")
        assert.isTrue(yield* held.isValid)
        assert.strictEqual((yield* Effect.flip(them.tryScoped(id)))._tag, "LockConflict")
      }
    })
  )

  it.effect("ends with the lease if renewal is off, and reports the loss", () =>
    Effect.gen(function* () {
      const { them, us } = yield* setUp
      const held = yield* us.scoped(id, { renewEvery: false })
      const lost = yield* Effect.forkChild(Effect.flip(held.lost))
      yield* TestClock.adjust("9850 millis")
      assert.isTrue(yield* held.isValid)
      yield* TestClock.adjust("100 millis")
      assert.isFalse(yield* held.isValid)
      assert.deepInclude(yield* Fiber.join(lost), { _tag: "LockLost", reason: "Expired" })
      yield* TestClock.adjust("1 second")
      yield* them.tryScoped(id)
    })
  )

  it.effect("ends before another process may take over the lock, if the server is out of reach", () =>
    Effect.gen(function* () {
      const { faults, them, us } = yield* setUp
      const held = yield* us.scoped(id)
      faults.push(...Array.from({ length: 100 }, () => ["write", "Refused"] as const))
      const lost = yield* Effect.forkChild(Effect.flip(held.lost))
      for (let passed = 0; (yield* held.isValid) && passed < 1000; passed++) yield* TestClock.adjust("10 millis")
      faults.length = 0
      assert.strictEqual((yield* Effect.flip(them.tryScoped(id)))._tag, "LockConflict")
      assert.deepInclude(yield* Fiber.join(lost), { reason: "Expired", heldFor: Duration.millis(9900) })
    })
  )

  it.effect("is renewed, or lost in time, also after its layer is closed, because only its own scope ends it", () =>
    Effect.gen(function* () {
      const { faults, store } = yield* setUp
      const held = yield* Lock.scoped(id).pipe(
        Effect.provide(Lock.layer().pipe(Layer.provide(Layer.succeed(ObjectStore, store))), { local: true })
      )
      yield* TestClock.adjust("1 minute")
      assert.isTrue(yield* held.isValid)
      faults.push(...Array.from({ length: 100 }, () => ["write", "Refused"] as const))
      const lost = yield* Effect.forkChild(Effect.flip(held.lost))
      yield* TestClock.adjust("10 seconds")
      assert.deepInclude(yield* Fiber.join(lost), { reason: "Expired" })
      faults.length = 0
    })
  )

  it.effect("survives an outage shorter than the lease", () =>
    Effect.gen(function* () {
      const { faults, us } = yield* setUp
      const held = yield* us.scoped(id)
      faults.push(...Array.from({ length: 5 }, () => ["write", "Refused"] as const))
      yield* TestClock.adjust("1 minute")
      assert.isTrue(yield* held.isValid)
    })
  )

  it.effect("does not lose the lock because an overloaded server asks it to wait", () =>
    Effect.gen(function* () {
      const { faults, us } = yield* setUp
      const held = yield* us.scoped(id)
      const overloaded = { object: id, verb: "patch", status: 429, detail: "429", retryAfter: Duration.seconds(30) }
      faults.push(["write", new LockError.Unavailable(overloaded)])
      yield* TestClock.adjust("1 minute")
      assert.isTrue(yield* held.isValid)
    })
  )

  it.effect("notices after a sleep of the machine that time has passed, although no timer ran", () =>
    Effect.gen(function* () {
      const { us } = yield* setUp
      const machine = yield* SkewedClock.make
      yield* Effect.gen(function* () {
        const held = yield* us.scoped(id)
        machine.skew = 60_000
        assert.isFalse(yield* held.isValid)
        assert.strictEqual((yield* Effect.flip(held.guard(Effect.void)))._tag, "LockLost")
      }).pipe(Effect.provideService(Clock.Clock, machine.clock))
    })
  )

  it.effect("is not renewed after its lease ran out while the machine slept", () =>
    Effect.gen(function* () {
      const { requests, us } = yield* setUp
      const machine = yield* SkewedClock.make
      const held = yield* us.scoped(id).pipe(Effect.provideService(Clock.Clock, machine.clock))
      const lost = yield* Effect.forkChild(Effect.flip(held.lost))
      machine.skew = 60_000
      requests.length = 0
      yield* TestClock.adjust("4 seconds")
      assert.deepInclude(yield* Fiber.join(lost), { reason: "Expired" })
      assert.lengthOf(requests, 0)
    })
  )

  it.effect("interrupts guarded work when the lock is lost, and refuses work afterwards", () =>
    Effect.gen(function* () {
      const { annotate, us } = yield* setUp
      const held = yield* us.scoped(id)
      const work = yield* Effect.forkChild(Effect.flip(held.guard(Effect.never)))
      yield* annotate({ [key]: null, [LockRecord.holderKey(key)]: null })
      yield* TestClock.adjust("4 seconds")
      assert.deepInclude(yield* Fiber.join(work), { _tag: "LockLost", reason: "Removed" })
      let ran = false
      yield* Effect.flip(held.guard(Effect.sync(() => (ran = true))))
      assert.isFalse(ran)
    })
  )

  it.effect("fails guarded work if the process stalled for longer than the lease", () =>
    Effect.gen(function* () {
      const { us } = yield* setUp
      const machine = yield* SkewedClock.make
      const held = yield* us.scoped(id).pipe(Effect.provideService(Clock.Clock, machine.clock))
      const stalled = Effect.sync(() => (machine.skew = 60_000))
      assert.strictEqual((yield* Effect.flip(held.guard(stalled)))._tag, "LockLost")
    })
  )

  it.effect("fails guarded work that ended after the lease", () =>
    Effect.gen(function* () {
      const { us } = yield* setUp
      const held = yield* us.scoped(id, { renewEvery: false })
      const stalled = Effect.flatMap(
        TestClock.testClockWith((clock) => clock.setTime(60_000)),
        () => Effect.succeed("done")
      )
      assert.strictEqual((yield* Effect.flip(held.guard(stalled)))._tag, "LockLost")
    })
  )
})

describe("an answer that gets lost", () => {
  it.effect("when acquiring: the lock is held at once, without a wait for its expiry", () =>
    Effect.gen(function* () {
      const { faults, requests, us } = yield* setUp
      faults.push(["write", "Lost"])
      const held = yield* us.scoped(id)
      assert.isTrue(yield* held.isValid)
      assert.deepStrictEqual(requests, ["read", "write", "read"])
    }).pipe(Effect.scoped)
  )

  it.effect("when trying once: the lock is held nevertheless", () =>
    Effect.gen(function* () {
      const { faults, us } = yield* setUp
      faults.push(["write", "Lost"])
      assert.isTrue(yield* Effect.flatMap(us.tryScoped(id), (held) => held.isValid))
    }).pipe(Effect.scoped)
  )

  it.effect("when renewing: the lock stays held", () =>
    Effect.gen(function* () {
      const { faults, us } = yield* setUp
      const held = yield* us.scoped(id)
      for (let minute = 0; minute < 5; minute++) {
        faults.push(["write", "Lost"])
        yield* TestClock.adjust("1 minute")
        assert.isTrue(yield* held.isValid)
      }
    }).pipe(Effect.scoped)
  )

  it.effect("when releasing: the lock is released", () =>
    Effect.gen(function* () {
      const { annotations, faults, us } = yield* setUp
      const scope = yield* Scope.make()
      yield* us.scoped(id).pipe(Scope.provide(scope))
      faults.push(["write", "Lost"])
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(closing)
      assert.deepStrictEqual(yield* annotations, untouched)
    })
  )

  it.effect("when the schedule ends before it arrives: the lock is freed in the background", () =>
    Effect.gen(function* () {
      const { annotations, faults, us } = yield* setUp
      faults.push(["read", "None"], ["write", "Lost"], ["read", "Refused"], ["read", "Refused"])
      const never = Schedule.recurs(0)
      const failed = yield* Effect.flip(us.scoped(id, { waitSchedule: never }))
      assert.strictEqual(failed._tag, "LockUnavailable")
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* annotations, untouched)
      assert.lengthOf(faults, 0)
    }).pipe(Effect.scoped)
  )

  it.effect("when interrupted while the write is under way: the lock is freed in the background", () =>
    Effect.gen(function* () {
      const { annotations, faults, us } = yield* setUp
      faults.push(["write", "Unanswered"])
      const waiting = yield* Effect.forkChild(us.scoped(id))
      yield* TestClock.adjust("1 millis")
      assert.property(yield* annotations, key)
      yield* Fiber.interrupt(waiting)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* annotations, untouched)
    }).pipe(Effect.scoped)
  )
})

describe("a write that was cut off", () => {
  it.effect("and is applied later leaves nothing behind", () =>
    Effect.gen(function* () {
      const { annotations, sound } = yield* setUp
      let isFirst = true
      const lock = yield* Lock.make().pipe(
        Effect.provideService(ObjectStore, {
          ...sound,
          compareAndSwap: (id, write) => {
            const written = sound.compareAndSwap(id, write)
            if (!isFirst) return written
            isFirst = false
            return Effect.onInterrupt(Effect.never, () => Effect.forkDetach(Effect.delay(written, "10 millis")))
          }
        })
      )
      const waiting = yield* Effect.forkChild(Effect.scoped(lock.scoped(id)))
      yield* TestClock.adjust("1 millis")
      yield* Fiber.interrupt(waiting)
      yield* TestClock.adjust("10 millis")
      assert.property(yield* annotations, key)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* annotations, untouched)
    })
  )
})

describe("a process that ends", () => {
  it.effect("first frees a lock that it may hold without knowing", () =>
    Effect.gen(function* () {
      const { annotations, faults, store } = yield* setUp
      const scope = yield* Scope.make()
      const lock = yield* Lock.make().pipe(Effect.provideService(ObjectStore, store), Scope.provide(scope))
      faults.push(["read", "None"], ["write", "Unanswered"], ["read", "Refused"])
      const waiting = yield* Effect.forkChild(lock.scoped(id))
      yield* TestClock.adjust("1 millis")
      yield* Fiber.interrupt(waiting)
      const ending = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(ending)
      assert.deepStrictEqual(yield* annotations, untouched)
    })
  )
})

describe("committing", () => {
  const value = [{ path: ["token"], value: "new" }] as const
  const contentOf = (world: Effect.Success<typeof setUp>) =>
    Effect.map(world.sound.read(id), (metadata) => metadata.content)

  it.effect("writes to the object and releases the lock in one request", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      yield* Effect.scoped(
        Effect.gen(function* () {
          const held = yield* world.us.scoped(id)
          yield* TestClock.adjust("1 minute")
          world.requests.length = 0
          yield* held.commitAndRelease(value)
          assert.isFalse(yield* held.isValid)
          assert.deepInclude(yield* Effect.flip(held.guard(Effect.void)), { reason: "Released" })
        })
      )
      assert.deepStrictEqual(world.requests, ["write"])
      assert.deepStrictEqual(yield* world.annotations, untouched)
      assert.deepStrictEqual(yield* contentOf(world), { token: "new" })
    })
  )

  it.effect("never overwrites what a successor wrote", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const paused = yield* world.us.scoped(id, { renewEvery: false })
      yield* TestClock.adjust("12 seconds")
      const successor = yield* world.them.scoped(id)
      const refused = yield* Effect.flip(paused.commitAndRelease(value))
      assert.deepInclude(refused, { _tag: "LockLost" })
      yield* successor.commitAndRelease([{ path: ["token"], value: "theirs" }])
      yield* Effect.flip(paused.commitAndRelease(value))
      assert.deepStrictEqual(yield* contentOf(world), { token: "theirs" })
    }).pipe(Effect.scoped)
  )

  it.effect("still writes after the lease ran out if nobody took over", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const paused = yield* world.us.scoped(id, { renewEvery: false })
      yield* TestClock.adjust("1 hour")
      yield* paused.commitAndRelease(value)
      assert.deepStrictEqual(yield* contentOf(world), { token: "new" })
    }).pipe(Effect.scoped)
  )

  it.effect("writes once, also if the answer gets lost", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const held = yield* world.us.scoped(id)
      world.faults.push(["write", "Lost"], ["write", "None"], ["read", "Refused"])
      const committing = yield* Effect.forkChild(held.commitAndRelease(value))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(committing)
      assert.deepStrictEqual(yield* contentOf(world), { token: "new" })
      assert.deepStrictEqual(yield* world.annotations, untouched)
      assert.isFalse(yield* held.isValid)
    }).pipe(Effect.scoped)
  )

  it.effect("does not report as lost a write that may have happened and was overwritten since", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const held = yield* world.us.scoped(id)
      world.faults.push(["write", "Lost"], ["read", "Refused"])
      const committing = yield* Effect.forkChild(Effect.flip(held.commitAndRelease(value)))
      yield* TestClock.adjust("1 millis")
      const successor = yield* Effect.provideService(Lock.make({ identity: "them" }), ObjectStore, world.sound)
      yield* Effect.flatMap(successor.scoped(id), (held) =>
        held.commitAndRelease([{ path: ["token"], value: "theirs" }])
      )
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(committing))._tag, "LockUnavailable")
      assert.isFalse(yield* held.isValid)
      assert.deepStrictEqual(yield* contentOf(world), { token: "theirs" })
    }).pipe(Effect.scoped)
  )

  it.effect("survives a renewal at the same time", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const held = yield* world.us.scoped(id)
      world.faults.push(["write", "Refused"])
      const committing = yield* Effect.forkChild(held.commitAndRelease(value))
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(committing)
      assert.deepStrictEqual(yield* contentOf(world), { token: "new" })
      const lost = yield* Effect.forkChild(Effect.flip(held.lost))
      yield* TestClock.adjust("1 minute")
      assert.isUndefined(lost.pollUnsafe())
    }).pipe(Effect.scoped)
  )
})

describe("releasing", () => {
  it.effect("outlasts an outage of some seconds", () =>
    Effect.gen(function* () {
      const { annotations, faults, us } = yield* setUp
      const scope = yield* Scope.make()
      yield* us.scoped(id).pipe(Scope.provide(scope))
      faults.push(["write", "Refused"], ["read", "Refused"], ["write", "Refused"])
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(closing)
      assert.deepStrictEqual(yield* annotations, untouched)
    })
  )

  it.effect("gives up after five seconds, and never fails the scope", () =>
    Effect.gen(function* () {
      const { faults, us } = yield* setUp
      const scope = yield* Scope.make()
      yield* us.scoped(id).pipe(Scope.provide(scope))
      faults.push(["write", "Hangs"])
      const closing = yield* Effect.forkChild(Effect.exit(Scope.close(scope, Exit.void)))
      yield* TestClock.adjust("5 seconds")
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(closing)))
    })
  )

  it.effect("happens before a process that is interrupted has ended", () =>
    Effect.gen(function* () {
      const { annotations, store } = yield* setUp
      const main = Effect.andThen(Lock.scoped(id), Effect.never).pipe(
        Effect.scoped,
        Effect.provide(Lock.layer().pipe(Layer.provide(Layer.succeed(ObjectStore, store))))
      )
      const running = yield* Effect.forkChild(main)
      yield* TestClock.adjust("1 second")
      assert.property(yield* annotations, key)
      yield* Fiber.interrupt(running)
      assert.deepStrictEqual(yield* annotations, untouched)
    })
  )
})

describe("several locks", () => {
  it.effect("are a tuple for a tuple of ids", () =>
    Effect.gen(function* () {
      const { layer } = yield* setUpMany("a", "b")
      const ids: ReadonlyArray<string> = ["a"]
      yield* Effect.gen(function* () {
        const [from, to] = yield* Lock.scopedAll(["b", "a"])
        const both: readonly [string, string] = [from.id, to.id]
        assert.deepStrictEqual(both, ["b", "a"])
      }).pipe(Effect.scoped, Effect.provide(layer))
      const some: ReadonlyArray<{ readonly id: string }> = yield* Lock.scopedAll(ids).pipe(
        Effect.scoped,
        Effect.provide(layer)
      )
      assert.lengthOf(some, 1)
    })
  )

  it.effect("are all held, in the given order, and once if an id is given twice", () =>
    Effect.gen(function* () {
      const { layer, requests } = yield* setUpMany("a", "b", "c")
      yield* Effect.gen(function* () {
        const helds = yield* Lock.scopedAll(["c", "a", "c", "b"])
        assert.deepStrictEqual(
          helds.map((held) => held.id),
          ["c", "a", "c", "b"]
        )
        assert.lengthOf(requests, 6)
        for (const id of ["a", "b", "c"])
          assert.strictEqual((yield* Effect.flip(Lock.tryScoped(id)))._tag, "LockConflict")
      }).pipe(Effect.scoped, Effect.provide(layer))
    })
  )

  it.effect("are all released if one cannot be acquired", () =>
    Effect.gen(function* () {
      const { layer, sound } = yield* setUpMany("a", "b", "c")
      const { resourceVersion } = yield* sound.read("b")
      yield* sound.compareAndSwap("b", { expect: { resourceVersion }, annotations: { [key]: "soon" } })
      yield* Effect.gen(function* () {
        assert.strictEqual((yield* Effect.flip(Lock.scopedAll(["c", "b", "a"])))._tag, "LockMalformed")
        assert.deepStrictEqual(yield* Lock.inspect("a"), { _tag: "Free" })
        assert.deepStrictEqual(yield* Lock.inspect("c"), { _tag: "Free" })
      }).pipe(Effect.scoped, Effect.provide(layer))
    })
  )

  it.effect("are all released if the wait for one is interrupted", () =>
    Effect.gen(function* () {
      const { layer, sound } = yield* setUpMany("a", "b")
      const { resourceVersion } = yield* sound.read("b")
      yield* sound.compareAndSwap("b", { expect: { resourceVersion }, annotations: dexLockUntil(3600) })
      yield* Effect.gen(function* () {
        const waiting = yield* Effect.forkChild(Lock.scopedAll(["a", "b"]))
        yield* TestClock.adjust("1 second")
        assert.strictEqual((yield* Lock.inspect("a"))._tag, "Held")
        yield* Fiber.interrupt(waiting)
        assert.deepStrictEqual(yield* Lock.inspect("a"), { _tag: "Free" })
      }).pipe(Effect.scoped, Effect.provide(layer))
    })
  )

  it.effect("never wait for each other, in whatever order they are given", () =>
    Effect.gen(function* () {
      const { layer } = yield* setUpMany("a", "b", "c")
      const both = (ids: ReadonlyArray<string>) =>
        Effect.scoped(Effect.andThen(Lock.scopedAll(ids), Effect.sleep("300 millis")))
      const running = yield* Effect.forEach(
        [
          ["a", "b", "c"],
          ["c", "b", "a"],
          ["b", "c", "a"],
          ["c", "a"]
        ],
        both,
        { concurrency: "unbounded" }
      ).pipe(Effect.provide(layer), Effect.forkChild)
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(running)
    })
  )
})

describe("an effect under the lock", () => {
  it.effect("may be a function of the lock, and commit with it", () =>
    Effect.gen(function* () {
      const { layer, sound } = yield* setUpMany("a")
      const token = Lock.withLock("a")((held) =>
        Effect.as(held.commitAndRelease([{ path: ["done"], value: true }]), held.fencingToken)
      )
      assert.isAbove(Number(yield* Effect.provide(token, layer)), 0)
      assert.deepStrictEqual((yield* sound.read("a")).content, { done: true })
    })
  )

  it.effect("does not run if the lock is held and it only tries, and runs otherwise", () =>
    Effect.gen(function* () {
      const { layer } = yield* setUpMany("a")
      const attempt = Effect.sync(() => "ran").pipe(Lock.tryWithLock("a"))
      yield* Effect.gen(function* () {
        assert.strictEqual(yield* attempt, "ran")
        assert.strictEqual(yield* Lock.tryWithLock("a")((held) => Effect.succeed(held.id)), "a")
        yield* Lock.scoped("a")
        assert.strictEqual((yield* Effect.flip(attempt))._tag, "LockConflict")
      }).pipe(Effect.scoped, Effect.provide(layer))
    })
  )

  it.effect("is interrupted if the lock is lost, also if it only tried", () =>
    Effect.gen(function* () {
      const { annotate, us } = yield* setUp
      const working = yield* Effect.never.pipe(
        Lock.tryWithLock(id),
        Effect.provideService(Lock.Lock, us),
        Effect.flip,
        Effect.forkChild
      )
      yield* TestClock.adjust("1 second")
      yield* annotate({ [key]: null })
      yield* TestClock.adjust("10 seconds")
      assert.deepInclude(yield* Fiber.join(working), { _tag: "LockLost", reason: "Removed" })
    })
  )
})

describe("a process that waits for a lock of its own", () => {
  it.effect("is told that it holds the lock itself", () =>
    Effect.gen(function* () {
      const { us } = yield* setUp
      const held = yield* us.scoped(id)
      const conflict = yield* Effect.flip(us.tryScoped(id))
      assert.deepInclude(conflict, { _tag: "LockConflict", thisProcess: "Holds", holder: held.holderId })
      const waiting = yield* Effect.forkChild(Effect.flip(us.scoped(id)))
      yield* TestClock.adjust("20 seconds")
      const timeout = yield* Fiber.join(waiting)
      assert.deepInclude(timeout, { _tag: "LockTimeout", thisProcess: "Holds" })
      assert.strictEqual(
        timeout.message,
        `Gave up waiting for lock "token" (token in memory) after 20s: this process holds it itself, as ${held.holderId} until 1970-01-01T00:00:30Z. The lock is not reentrant.`
      )
    }).pipe(Effect.scoped)
  )

  it.effect("is told that its other fibers came first if none of them holds the lock", () =>
    Effect.gen(function* () {
      const { annotate, us } = yield* setUp
      yield* annotate(dexLockUntil(3600))
      yield* Effect.forkChild(Effect.exit(us.scoped(id, { waitSchedule: Schedule.spaced("1 second") })))
      yield* TestClock.adjust("1 second")
      assert.deepInclude(yield* Effect.flip(us.tryScoped(id)), { _tag: "LockConflict", thisProcess: "Waits" })
      const waiting = yield* Effect.forkChild(Effect.flip(us.scoped(id)))
      yield* TestClock.adjust("20 seconds")
      const timeout = yield* Fiber.join(waiting)
      assert.deepInclude(timeout, { _tag: "LockTimeout", thisProcess: "Waits" })
      assert.include(timeout.message, "other fibers of this process wait for it")
    }).pipe(Effect.scoped)
  )
})
