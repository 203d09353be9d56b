/** How a waiter hears of the lock: by a watch that wakes only that waiter, or by polling if watching fails. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as watchPool from "../../../src/internal/engine/watchPool.ts"
import * as timers from "../../../src/internal/time/timers.ts"
import * as LockError from "../../../src/LockError.ts"
import * as LockPolicy from "../../../src/LockPolicy.ts"
import * as Lock from "../../../src/Lock.ts"
import { ObjectStore, type WatchEvent } from "../../../src/ObjectStore.ts"
import * as ObjectStoreMemory from "../../../src/ObjectStoreMemory.ts"
import { contend } from "../../utils/contend.ts"
import { logged } from "../../utils/logged.ts"
import { busy, id, mayNotWatch, pass, setUp } from "../../utils/processes.ts"

const soon = TestClock.adjust("1 millis")

const unauthorized = new LockError.Unauthorized({ object: id, detail: "no" })

describe("a waiter", () => {
  it.effect("only joins, reads once after a second, and then watches the whole object", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
      const ours = yield* us.wants()
      const theirs = yield* them.wants({ waitSchedule: LockPolicy.fixedPolls("100 millis", 1000) })
      yield* TestClock.adjust("990 millis")
      assert.deepStrictEqual(them.requests, ["read", "write"])
      assert.strictEqual(them.watching.opened, 1)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(them.requests, ["read", "write", "read"])
      assert.strictEqual(them.watching.opened, 2)
      yield* ours.letGo
      yield* soon
      yield* theirs.held
      assert.deepStrictEqual(them.requests, ["read", "write", "read"])
    })
  )

  it.effect("watches only for its own turn again once the lock is handed over to another process", () =>
    Effect.gen(function* () {
      const { aProcess, wipe } = yield* setUp
      const [us, first, second] = [yield* aProcess("us"), yield* aProcess("first"), yield* aProcess("second")]
      const ours = yield* us.wants()
      const next = yield* first.wants()
      const theirs = yield* second.wants()
      yield* TestClock.adjust("5 seconds")
      second.requests.length = 0
      yield* ours.letGo
      yield* soon
      yield* next.held
      assert.strictEqual(second.watching.opened, 3)
      assert.strictEqual(yield* wipe, 1)
      yield* TestClock.adjust("990 millis")
      assert.deepStrictEqual(second.requests, [])
      yield* TestClock.adjust("20 millis")
      assert.deepStrictEqual(second.requests, ["read", "write"])
      yield* next.letGo
      yield* soon
      yield* theirs.held
    })
  )

  it.effect("shares one watch with all waiters of its process, until a second after the last of them", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
      const fibers = yield* Effect.forEach([us, us, them, them], (process) => busy(process))
      yield* pass(3000)
      // The second one watches the whole object: the first process keeps the lock for a second.
      assert.deepStrictEqual([us.watching.opened, them.watching.opened], [1, 2])
      yield* Fiber.interruptAll(fibers.map(({ fiber }) => fiber))
      yield* pass(900)
      const first = yield* us.wants()
      const second = yield* them.wants()
      assert.deepStrictEqual([us.watching.opened, them.watching.opened], [1, 2])
      yield* first.letGo
      yield* soon
      yield* second.letGo
      yield* pass(1100)
      yield* us.wants()
      yield* them.wants()
      assert.deepStrictEqual([us.watching.opened, them.watching.opened], [1, 3])
    })
  )

  it.effect("polls if it may not watch, tries that once more, logs it once, and does not try again", () =>
    Effect.gen(function* () {
      const lines = yield* logged(
        Effect.gen(function* () {
          const { aProcess } = yield* setUp
          const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
          them.watching.fault = mayNotWatch
          for (let wait = 0; wait < 3; wait++) {
            const ours = yield* us.wants()
            const theirs = yield* them.wants()
            yield* TestClock.adjust("1 second")
            them.requests.length = 0
            yield* TestClock.adjust("2 seconds")
            assert.strictEqual(them.requests.length, 20)
            assert.notInclude(them.requests, "write")
            yield* ours.letGo
            yield* TestClock.adjust("100 millis")
            assert.isTrue(yield* (yield* theirs.held).isValid)
            yield* theirs.letGo
            yield* TestClock.adjust("2 seconds")
          }
          assert.strictEqual(them.watching.opened, 2)
        })
      )
      assert.deepStrictEqual(lines, [
        "Warn Waiters poll, since they may not watch. Not allowed to watch token: no. Grant the verb in a Role."
      ])
    })
  )

  it.effect("polls if a watch fails, and tries to watch again with the next wait", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
      for (const opened of [1, 2]) {
        them.watching.fault = unauthorized
        const ours = yield* us.wants()
        const theirs = yield* them.wants()
        yield* TestClock.adjust("1 second")
        them.requests.length = 0
        yield* TestClock.adjust("500 millis")
        assert.isAtLeast(them.requests.length, 4)
        yield* ours.letGo
        yield* TestClock.adjust("100 millis")
        yield* theirs.held
        yield* theirs.letGo
        yield* TestClock.adjust("2 seconds")
        assert.isAtLeast(them.watching.opened, opened)
      }
      them.watching.fault = undefined
      const ours = yield* us.wants()
      const theirs = yield* them.wants()
      yield* TestClock.adjust("1 second")
      them.requests.length = 0
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(them.requests, [])
      yield* ours.letGo
      yield* soon
      yield* theirs.held
    })
  )

  it.effect("polls from the next step of its schedule on if a watch fails after a while", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
      yield* us.wants()
      yield* them.wants({ waitSchedule: LockPolicy.fixedPolls("100 millis", 1000) })
      yield* TestClock.adjust("500 millis")
      them.watching.fault = unauthorized
      // After a second it watches the object.
      yield* TestClock.adjust("550 millis")
      them.requests.length = 0
      yield* TestClock.adjust("500 millis")
      assert.deepStrictEqual(them.requests, ["read", "read", "read", "read", "read"])
    })
  )

  it.effect("gets the lock also if its watch never reports anything", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
      them.watching.fault = "Silent"
      const ours = yield* us.wants()
      const theirs = yield* them.wants()
      yield* ours.letGo
      yield* TestClock.adjust("1010 millis")
      assert.isTrue(yield* (yield* theirs.held).isValid)
    })
  )

  it.effect("polls if its watches are open and tell nothing, says so once, and watches again once they tell", () =>
    Effect.gen(function* () {
      const lines = yield* logged(
        Effect.gen(function* () {
          const { aProcess } = yield* setUp
          const processes = [yield* aProcess("us"), yield* aProcess("them")]
          const [us, them] = processes
          for (const { watching } of processes) watching.fault = "Silent"
          const deaf = yield* Effect.forEach(processes, (process) => busy(process))
          yield* pass(30_000)
          const had = () => deaf.reduce((sum, { had }) => sum + had.length, 0)
          const before = had()
          yield* pass(20_000)
          // They take turns, and each looks ten times a second.
          assert.isAtLeast(had() - before, 200)
          for (const { watching } of processes) watching.fault = undefined
          yield* pass(70_000)
          for (const { fiber } of deaf) yield* Fiber.interrupt(fiber)
          yield* pass(2000)
          const ours = yield* us!.wants()
          const theirs = yield* them!.wants()
          yield* TestClock.adjust("2 seconds")
          them!.requests.length = 0
          yield* TestClock.adjust("5 seconds")
          assert.deepStrictEqual(them!.requests, [])
          yield* ours.letGo
          yield* soon
          yield* theirs.held
        })
      )
      assert.lengthOf(lines, 2)
      for (const line of lines) assert.match(line, /^Warn Waiters poll, since watches are open and do not tell/)
    })
  )

  it.effect(
    "polls if it learns of its turns only by looking, since a buffer holds events back until others fill it",
    () =>
      Effect.gen(function* () {
        const lines = yield* logged(
          Effect.gen(function* () {
            const { aProcess } = yield* setUp
            const processes = [yield* aProcess("us"), yield* aProcess("them")]
            for (const { watching } of processes) watching.fault = "Buffered"
            const late = yield* Effect.forEach(processes, (process) => busy(process))
            yield* pass(10_000)
            const had = () => late.reduce((sum, { had }) => sum + had.length, 0)
            const before = had()
            yield* pass(20_000)
            // They take turns, and each looks ten times a second. With their watches they would have it three times a second.
            assert.isAtLeast(had() - before, 150)
            for (const { fiber } of late) yield* Fiber.interrupt(fiber)
          })
        )
        assert.lengthOf(lines, 2)
        for (const line of lines) assert.match(line, /^Warn Waiters poll, since watches are open and do not tell/)
      })
  )

  it.effect("of a lock that one holder keeps polls within seconds if its watch tells nothing", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
      them.watching.fault = "Silent"
      const ours = yield* us.wants()
      const theirs = yield* them.wants({ waitSchedule: LockPolicy.fixedPolls("100 millis", 1000) })
      yield* TestClock.adjust("4 seconds")
      them.requests.length = 0
      yield* TestClock.adjust("1 second")
      assert.isAtLeast(them.requests.length, 9)
      yield* ours.letGo
      yield* TestClock.adjust("100 millis")
      assert.isTrue(yield* theirs.has)
    })
  )

  it.effect("hears again if only its present watch was deaf, as after a connection that was forgotten", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
      const ours = yield* us.wants()
      them.watching.fault = "Silent"
      const theirs = yield* them.wants({ waitSchedule: LockPolicy.fixedPolls("100 millis", 1000) })
      yield* TestClock.adjust("1500 millis")
      them.watching.fault = undefined
      yield* TestClock.adjust("1 second")
      them.requests.length = 0
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(them.requests, [])
      yield* ours.letGo
      yield* soon
      assert.isTrue(yield* theirs.has)
    })
  )

  it.effect("watches anew if an answer is older than what its watch has told: versions went backwards", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
      const opened: Array<string | undefined> = []
      // A watch that has told the future, and is silent since.
      const lock = yield* Lock.make({ identity: "them" }).pipe(
        Effect.provideService(ObjectStore, {
          ...them.store,
          watch: (id, options) => {
            opened.push(options?.label?.value)
            const told = Effect.map(us.sound.read(id), (snapshot): WatchEvent => ({
              _tag: "Changed",
              snapshot: { ...snapshot, resourceVersion: "9007199254740993" }
            }))
            return options?.label !== undefined || opened.filter((value) => value === undefined).length > 1
              ? us.sound.watch(id, options)
              : Stream.concat(Stream.fromEffect(told), Stream.never)
          }
        })
      )
      const ours = yield* us.wants()
      const theirs = yield* contend(lock, id, { waitSchedule: LockPolicy.fixedPolls("100 millis", 1000) })
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(opened.filter((value) => value === undefined).length, 2)
      yield* ours.letGo
      yield* soon
      assert.isTrue(yield* theirs.has)
    })
  )
})

describe("the watches of a layer", () => {
  const leftAfter = Effect.fnUntraced(function* (watch: ObjectStore["Service"]["watch"]) {
    const { store } = yield* ObjectStoreMemory.make({ objects: [id] })
    const clock = yield* Clock.Clock
    let asleep = 0
    const counting: Clock.Clock = Object.assign(Object.create(clock), {
      sleep: (duration: Parameters<Clock.Clock["sleep"]>[0]) =>
        Effect.acquireUseRelease(
          Effect.sync(() => asleep++),
          () => clock.sleep(duration),
          () => Effect.sync(() => asleep--)
        )
    })
    const scope = yield* Scope.make()
    const pool = yield* Effect.flatMap(timers.make, (timing) =>
      watchPool.make({ ...store, watch }, { key: "a", value: "b" }, timing)
    ).pipe(Scope.provide(scope), Effect.provideService(Clock.Clock, counting))
    for (let times = 0; times < 3; times++) {
      yield* pool.open(id, "Object")
      yield* pass(watchPool.failedMillis + 1)
    }
    assert.isUndefined(yield* pool.open(id, "Object"))
    yield* Scope.close(scope, Exit.void)
    yield* pass(watchPool.failedMillis + 1)
    return asleep
  })

  it.effect(
    "leave no timer behind that a process must wait for, also if it may not watch, or its watches are deaf",
    () =>
      Effect.gen(function* () {
        assert.strictEqual(yield* leftAfter(() => Stream.fail(mayNotWatch)), 0)
        assert.strictEqual(yield* leftAfter(() => Stream.never), 0)
      }).pipe(logged)
  )
})
