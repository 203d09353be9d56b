/** Writes of an acquisition that land long after it. Nothing of them stays on the object. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import * as Lock from "../../../src/Lock.ts"
import * as LockError from "../../../src/LockError.ts"
import * as LockPolicy from "../../../src/LockPolicy.ts"
import { ObjectStore } from "../../../src/ObjectStore.ts"
import { failAll } from "../../utils/FaultyStore.ts"
import { id, setUp } from "../../utils/processes.ts"

/**
 * A process whose next write lands so many milliseconds after it was sent, also if no fiber waits for it any more. Its answer does not
 * come, or is this one. Its write number `hangs` (from 0) never arrives.
 */
const slowProcess = (
  lands: number,
  answer: Effect.Effect<never, LockError.StoreError> = Effect.never,
  { hangs, policy = {} }: { readonly hangs?: number; readonly policy?: LockPolicy.Options } = {}
) =>
  Effect.gen(function* () {
    const world = yield* setUp
    const them = yield* world.aProcess("them")
    let writes = 0
    const store = them.sound
    const lock = yield* Lock.make({ identity: "us", policy: LockPolicy.make({ ttl: "1 hour", ...policy }) }).pipe(
      Effect.provideService(ObjectStore, {
        ...store,
        compareAndSwap: (id, patch) => {
          const write = writes++
          if (write === hangs) return Effect.never
          if (write > 0) return store.compareAndSwap(id, patch)
          return Effect.andThen(
            Effect.forkDetach(Effect.delay(Effect.ignore(store.compareAndSwap(id, patch)), lands), {
              startImmediately: true
            }),
            answer
          )
        }
      })
    )
    return { ...world, lock, them }
  })

describe("a write that was interrupted", () => {
  for (const lands of [20, 300, 3000, 60_000]) {
    it.effect(`and lands ${lands} ms after it was sent leaves no lock behind`, () =>
      Effect.gen(function* () {
        const { isUntouched, lock } = yield* slowProcess(lands)
        const waiting = yield* Effect.forkChild(Effect.scoped(lock.scoped(id)), { startImmediately: true })
        yield* TestClock.adjust("1 millis")
        yield* Fiber.interrupt(waiting)
        yield* TestClock.adjust("2 minutes")
        yield* isUntouched
      }).pipe(Effect.scoped)
    )
  }

  for (const lands of [20, 300, 3000, 4900]) {
    it.effect(`a join that lands ${lands} ms after it was sent leaves no name in the queue`, () =>
      Effect.gen(function* () {
        const { lock, them, waiting } = yield* slowProcess(lands)
        const theirs = yield* them.wants()
        yield* theirs.held
        const ours = yield* Effect.forkChild(Effect.scoped(lock.scoped(id)), { startImmediately: true })
        yield* TestClock.adjust("1 millis")
        yield* Fiber.interrupt(ours)
        yield* TestClock.adjust("30 seconds")
        assert.deepStrictEqual(yield* waiting, [])
        assert.isTrue(yield* (yield* theirs.held).isValid)
      }).pipe(Effect.scoped)
    )
  }
})

const noAnswer = Effect.fail(new LockError.Unavailable({ object: id, verb: "patch", detail: "a fault of the test" }))

describe("a join without an answer, of an acquisition that joined again,", () => {
  it.effect("leaves no name in the queue if it lands when the other place is given up", () =>
    Effect.gen(function* () {
      const { lock, them, waiting } = yield* slowProcess(2000, noAnswer)
      const theirs = yield* them.wants()
      const ours = yield* Effect.forkChild(Effect.scoped(lock.scoped(id)), { startImmediately: true })
      yield* TestClock.adjust("500 millis")
      assert.deepStrictEqual(yield* waiting, ["us"])
      yield* Fiber.interrupt(ours)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* waiting, [])
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(yield* waiting, [])
      assert.isTrue(yield* (yield* theirs.held).isValid)
    }).pipe(Effect.scoped)
  )
})

describe("a join without an answer, of an acquisition that got the lock meanwhile,", () => {
  it.effect("leaves no name in the queue if the acquisition was interrupted while it wrote its lease anew", () =>
    Effect.gen(function* () {
      const { lock, them, waiting } = yield* slowProcess(2000, noAnswer, { hangs: 2, policy: { renewEvery: false } })
      const first = yield* them.wants()
      const ours = yield* Effect.forkChild(Effect.scoped(lock.scoped(id)), { startImmediately: true })
      yield* TestClock.adjust("500 millis")
      assert.deepStrictEqual(yield* waiting, ["us"])
      yield* first.letGo
      yield* TestClock.adjust("100 millis")
      yield* Fiber.interrupt(ours)
      const second = yield* them.wants()
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(yield* waiting, [])
      assert.isTrue(yield* (yield* second.held).isValid)
    }).pipe(Effect.scoped)
  )

  it.effect("is given up together with the lock, within one deadline, if no server answers any more", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const [them, us] = [yield* aProcess("them"), yield* aProcess("us")]
      const first = yield* them.wants()
      yield* first.held
      us.faults.push(["write", "Lost"])
      const ours = yield* us.wants()
      yield* TestClock.adjust("500 millis")
      yield* first.letGo
      yield* TestClock.adjust("100 millis")
      yield* ours.held
      failAll(us, "Refused")
      const gone = yield* Effect.forkChild(ours.letGo)
      yield* TestClock.adjust("5100 millis")
      yield* Fiber.join(gone)
      us.requests.length = 0
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(us.requests, [])
    }).pipe(Effect.scoped)
  )

  for (const lands of [300, 1500, 3000, 4900]) {
    it.effect(`leaves no name in the queue if it lands ${lands} ms after it was sent`, () =>
      Effect.gen(function* () {
        const { lock, them, waiting } = yield* slowProcess(lands, noAnswer)
        const first = yield* them.wants()
        const ours = yield* Effect.forkChild(Effect.scoped(lock.scoped(id)), { startImmediately: true })
        yield* TestClock.adjust("50 millis")
        yield* first.letGo
        yield* TestClock.adjust("100 millis")
        yield* Fiber.join(ours)
        const second = yield* them.wants()
        yield* TestClock.adjust("30 seconds")
        assert.deepStrictEqual(yield* waiting, [])
        assert.isTrue(yield* (yield* second.held).isValid)
      }).pipe(Effect.scoped)
    )
  }
})
