/** A damaged queue: its waiters are gone, or its entries were wiped, garbled or forged. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import * as LockPolicy from "../../../src/LockPolicy.ts"
import { rejoinPause } from "../../../src/internal/protocol/rejoining.ts"
import * as LockQueue from "../../../src/LockQueue.ts"
import { dead, key, line, setUp } from "../../utils/processes.ts"

const soon = TestClock.adjust("1 millis")

/** How many milliseconds it takes until a condition holds: at most half a minute. */
const until = Effect.fnUntraced(function* (isSo: Effect.Effect<boolean>) {
  for (let passed = 0; passed < 30_000; passed += 10) {
    if (yield* isSo) return passed
    yield* TestClock.adjust("10 millis")
  }
  return assert.fail("it never was")
})

/** We hold the lock with a short lease, because it was handed over to us. */
const setUpShort = Effect.gen(function* () {
  const world = yield* setUp
  const before = yield* Effect.flatMap(world.aProcess("before"), (process) => process.wants())
  const ours = yield* Effect.flatMap(world.aProcess("us"), (process) => process.wants())
  yield* before.letGo
  yield* soon
  yield* ours.held
  /** Puts others at the front of the queue. */
  const inFront = (...names: ReadonlyArray<string>) =>
    Effect.flatMap(world.annotations, (annotations) => {
      const queue = LockQueue.fromAnnotations(key, annotations)
      const waiting = [...names, ...queue.waiters]
      return world.annotate(LockQueue.queuePatch(key, queue, { waiters: waiting, chainStartedAt: undefined }))
    })
  return { ...world, ours, inFront }
})

/** The same, and another process waits. */
const setUpWait = Effect.gen(function* () {
  const world = yield* setUpShort
  return { ...world, theirs: yield* Effect.flatMap(world.aProcess("them"), (process) => process.wants()) }
})

describe("a damaged queue", () => {
  it.effect("costs the waiters one short lease if the first waiter is gone", () =>
    Effect.gen(function* () {
      const { holder, inFront, isUntouched, ours, theirs } = yield* setUpWait
      yield* inFront(dead(1))
      yield* ours.letGo
      yield* soon
      assert.strictEqual(yield* holder, "dead")
      const waited = yield* until(theirs.has)
      assert.isAtLeast(waited, 2990)
      assert.isAtMost(waited, 4200)
      yield* theirs.letGo
      yield* soon
      yield* isUntouched
    })
  )

  it.effect("costs no more if several are gone: the process that takes over puts them at the end", () =>
    Effect.gen(function* () {
      const { holder, inFront, ours, theirs } = yield* setUpWait
      yield* inFront(...Array.from({ length: 20 }, (_, index) => dead(index)))
      yield* ours.letGo
      yield* soon
      assert.strictEqual(yield* holder, "dead")
      const waited = yield* until(theirs.has)
      assert.isAtLeast(waited, 2990)
      assert.isAtMost(waited, 7000)
    })
  )

  it.effect("costs no more for waiters that have seen a long lease, whether they are new or not", () =>
    Effect.gen(function* () {
      for (const waits of ["1 millis", "900 millis", "1 minute"] as const) {
        const { aProcess, annotate, holder, isUntouched } = yield* setUp
        const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
        const ours = yield* us.wants({ ttl: "1 hour" })
        yield* annotate({ [LockQueue.joinKey(key, dead(1))]: `${dead(1)}@1` })
        const theirs = yield* them.wants({ waitSchedule: LockPolicy.fixedPolls("100 millis", 1000) })
        yield* TestClock.adjust(waits)
        yield* ours.letGo
        yield* soon
        assert.strictEqual(yield* holder, "dead")
        assert.isAtMost(yield* until(theirs.has), 4200)
        yield* theirs.letGo
        yield* soon
        yield* isUntouched
      }
    })
  )

  it.effect("costs a waiter the lock if it sleeps through its hand-over, which it notices when it wakes", () =>
    Effect.gen(function* () {
      const { aProcess, holder, isUntouched, ours } = yield* setUpShort
      const them = yield* aProcess("them")
      them.watching.fault = "Silent"
      const theirs = yield* them.wants()
      const third = yield* Effect.flatMap(aProcess("third"), (process) => process.wants())
      them.faults.push(["read", "Hangs"], ["read", "Hangs"])
      yield* ours.letGo
      yield* soon
      assert.strictEqual(yield* holder, "them")
      assert.isAtMost(yield* until(third.has), 4200)
      assert.strictEqual(yield* holder, "third")
      assert.isFalse(yield* theirs.has)
      yield* Fiber.interrupt(theirs.fiber)
      yield* TestClock.adjust("1 second")
      assert.isTrue(yield* (yield* third.held).isValid)
      yield* third.letGo
      yield* soon
      yield* isUntouched
    })
  )

  it.effect("that was wiped is joined again at once, in the old order, by one write of each waiter", () =>
    Effect.gen(function* () {
      const { aProcess, isUntouched, waiting, wipe } = yield* setUp
      const [us, first, second] = [yield* aProcess("us"), yield* aProcess("first"), yield* aProcess("second")]
      const ours = yield* us.wants()
      const contenders = [yield* first.wants(), yield* second.wants()]
      yield* TestClock.adjust("2 seconds")
      for (const { requests } of [first, second]) requests.length = 0
      assert.strictEqual(yield* wipe, 2)
      yield* soon
      assert.deepStrictEqual(yield* waiting, ["first"])
      yield* TestClock.adjust(rejoinPause)
      assert.deepStrictEqual(yield* waiting, ["first", "second"])
      for (const { requests } of [first, second]) assert.deepStrictEqual(requests, ["write"])
      yield* ours.letGo
      for (const contender of contenders) {
        yield* soon
        yield* contender.held
        yield* contender.letGo
      }
      yield* soon
      yield* isUntouched
    })
  )

  it.effect("that was wiped within the first second of a wait costs the waiter the rest of that second", () =>
    Effect.gen(function* () {
      const { isUntouched, ours, theirs, aProcess, wipe } = yield* setUpWait
      const third = yield* Effect.flatMap(aProcess("third"), (process) => process.wants())
      assert.strictEqual(yield* wipe, 2)
      yield* ours.letGo
      yield* soon
      assert.isAtMost(yield* until(theirs.has), 1000)
      yield* theirs.letGo
      assert.isAtMost(yield* until(third.has), 200)
      yield* third.letGo
      yield* soon
      yield* isUntouched
    })
  )

  it.effect("with garbage among its waiters skips the garbage, and is clean in the end", () =>
    Effect.gen(function* () {
      const { annotate, aProcess, isUntouched, waiting } = yield* setUp
      const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
      const ours = yield* us.wants()
      const theirs = yield* them.wants()
      yield* annotate({
        [line]: `since=soon ☃  "${dead(1)}" \n`,
        [`${line}-x`]: "y",
        [LockQueue.joinKey(key, dead(1))]: `not ${dead(1)}@1`
      })
      assert.deepStrictEqual(yield* waiting, ["them"])
      yield* ours.letGo
      yield* soon
      yield* theirs.held
      yield* theirs.letGo
      yield* soon
      yield* isUntouched
    })
  )

  it.effect("of nothing but garbage delays no contender, and is clean in the end", () =>
    Effect.gen(function* () {
      const { annotate, aProcess, isUntouched } = yield* setUp
      yield* annotate({ [line]: "☃", [`${line}-x`]: "y" })
      const us = yield* aProcess("us")
      const ours = yield* us.wants()
      yield* ours.held
      yield* ours.letGo
      yield* soon
      yield* isUntouched
    })
  )

  it.effect("whose waiter is forged into the lock makes the holder lose it with the reason TakenOver", () =>
    Effect.gen(function* () {
      const { annotate, annotations, ours, theirs } = yield* setUpWait
      const held = yield* ours.held
      const forged = LockQueue.fromAnnotations(key, yield* annotations).waiters[0]!
      const expiry = (yield* annotations)[key]!
      yield* annotate({ [`${key}-holder`]: `${forged}@${expiry}` })
      yield* TestClock.adjust("2 seconds")
      assert.deepInclude(yield* Effect.flip(held.lost), { reason: "TakenOver", holder: forged })
      yield* ours.letGo
      yield* until(theirs.has)
    })
  )

  it.effect("that is full is not written to until there is room", () =>
    Effect.gen(function* () {
      const { annotate, aProcess, waiting } = yield* setUp
      const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
      const ours = yield* us.wants()
      const full = Array.from({ length: LockQueue.capacity }, (_, index) => dead(index))
      yield* annotate({ [line]: full.join(" ") })
      const theirs = yield* them.wants()
      yield* TestClock.adjust("2 seconds")
      assert.notInclude(them.requests, "write")
      assert.isAtLeast(them.requests.length, 10)
      assert.strictEqual(them.watching.opened, 0)
      assert.lengthOf(yield* waiting, LockQueue.capacity)
      yield* annotate({ [line]: null })
      yield* TestClock.adjust("200 millis")
      assert.deepStrictEqual(yield* waiting, ["them"])
      yield* ours.letGo
      yield* soon
      yield* theirs.held
    })
  )
})
