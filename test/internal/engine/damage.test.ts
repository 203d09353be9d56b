/** A queue that is not what it should be: who stands in it is gone, and what stands in it was wiped, garbled or forged. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import * as LockPolicy from "../../../src/LockPolicy.ts"
import * as LockQueue from "../../../src/LockQueue.ts"
import { dead, key, line, setUp } from "../../utils/processes.ts"

const soon = TestClock.adjust("1 millis")

/** How many milliseconds it takes until something is so, at most half a minute. */
const until = Effect.fnUntraced(function* (isSo: Effect.Effect<boolean>) {
  for (let passed = 0; passed < 30_000; passed += 10) {
    if (yield* isSo) return passed
    yield* TestClock.adjust("10 millis")
  }
  return assert.fail("it never was")
})

/** We hold the lock by a short lease, until let go: it was handed to us. */
const setUpShort = Effect.gen(function* () {
  const world = yield* setUp
  const before = yield* Effect.flatMap(world.aProcess("before"), (process) => process.wants())
  const ours = yield* Effect.flatMap(world.aProcess("us"), (process) => process.wants())
  yield* before.letGo
  yield* soon
  yield* ours.held
  /** Makes a line of those who wait, with others before them. */
  const inFront = (...names: ReadonlyArray<string>) =>
    Effect.flatMap(world.annotations, (annotations) => {
      const queue = LockQueue.fromAnnotations(key, annotations)
      const waiting = [...names, ...queue.waiters]
      return world.annotate(LockQueue.queuePatch(key, queue, { waiters: waiting, chainStartedAt: undefined }))
    })
  return { ...world, ours, inFront }
})

/** And they wait. */
const setUpWait = Effect.gen(function* () {
  const world = yield* setUpShort
  return { ...world, theirs: yield* Effect.flatMap(world.aProcess("them"), (process) => process.wants()) }
})

describe("in the queue", () => {
  it.effect("one who is no more costs the others a short lease", () =>
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

  it.effect("any number of them costs no more: who breaks the lock puts those who stood before at the end", () =>
    Effect.gen(function* () {
      const { holder, inFront, ours, theirs } = yield* setUpWait
      yield* inFront(...Array.from({ length: 20 }, (_, wish) => dead(wish)))
      yield* ours.letGo
      yield* soon
      assert.strictEqual(yield* holder, "dead")
      const waited = yield* until(theirs.has)
      assert.isAtLeast(waited, 2990)
      assert.isAtMost(waited, 7000)
    })
  )

  it.effect(
    "one who is no more costs no more to those who have seen a long lease, just arrived or waiting for long",
    () =>
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

  it.effect("one who never takes what it was handed loses it, and does not believe to have it when it comes to", () =>
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

  it.effect("who was wiped out of it comes back at once with one write, and gets the lock", () =>
    Effect.gen(function* () {
      const { aProcess, isUntouched, waiting, wipe } = yield* setUp
      const [us, first, second] = [yield* aProcess("us"), yield* aProcess("first"), yield* aProcess("second")]
      const ours = yield* us.wants()
      const contenders = [yield* first.wants(), yield* second.wants()]
      yield* TestClock.adjust("2 seconds")
      for (const { requests } of [first, second]) requests.length = 0
      assert.strictEqual(yield* wipe, 2)
      yield* soon
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

  it.effect("who was wiped out of it within the first second gets a lock that is released by the end of it", () =>
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

  it.effect("garbage is passed over, and is gone in the end", () =>
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

  it.effect("garbage alone hinders nobody, and is gone in the end", () =>
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

  it.effect("the name of one who waits, forged into the lock, is no loss to who holds it but that of a break", () =>
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

  it.effect("a full line is waited at without a write, and joined once there is room", () =>
    Effect.gen(function* () {
      const { annotate, aProcess, waiting } = yield* setUp
      const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
      const ours = yield* us.wants()
      const full = Array.from({ length: LockQueue.capacity }, (_, wish) => dead(wish))
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
