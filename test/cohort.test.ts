/** The contenders of one process. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import type { Held } from "../src/Held.ts"
import * as Lock from "../src/Lock.ts"
import * as LockPolicy from "../src/LockPolicy.ts"
import { ObjectStore } from "../src/ObjectStore.ts"
import * as FaultyStore from "./utils/FaultyStore.ts"
import * as SkewedClock from "./utils/SkewedClock.ts"

const id = "token"
const key = LockPolicy.dexKey

const setUp = Effect.gen(function* () {
  const faulty = yield* FaultyStore.make([id])
  const aProcess = (holder: string) => Lock.make({ holder }).pipe(Effect.provideService(ObjectStore, faulty.store))
  return { ...faulty, us: yield* aProcess("us"), them: yield* aProcess("them") }
})

/** A fiber that takes the lock and keeps it until told to let go. */
const contend = (lock: Lock.Lock["Service"], options?: Lock.AcquireOptions) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const held = yield* Deferred.make<Held>()
    const fiber = yield* lock.scoped(id, options).pipe(
      Scope.provide(scope),
      Effect.tap((got) => Deferred.succeed(held, got)),
      Effect.forkChild({ startImmediately: true })
    )
    return {
      fiber,
      held: Deferred.await(held),
      has: Effect.sync(() => Deferred.isDoneUnsafe(held)),
      letGo: Scope.close(scope, Exit.void)
    }
  })

describe("the contenders of one process", () => {
  it.effect("are served in the order in which they came, without a request between them", () =>
    Effect.gen(function* () {
      const { requests, us } = yield* setUp
      const first = yield* contend(us)
      const second = yield* contend(us)
      const third = yield* contend(us)
      yield* first.held
      assert.deepStrictEqual([yield* second.has, yield* third.has], [false, false])
      yield* first.letGo
      yield* second.held
      assert.isFalse(yield* third.has)
      yield* second.letGo
      yield* third.held
      assert.deepStrictEqual(requests, ["read", "write"])
      yield* third.letGo
      assert.deepStrictEqual(requests, ["read", "write", "write"])
    })
  )

  it.effect("get larger fencing tokens one after the other, and smaller ones than whoever comes next", () =>
    Effect.gen(function* () {
      const { them, us } = yield* setUp
      const contenders = [yield* contend(us), yield* contend(us), yield* contend(us)]
      const tokens: Array<bigint> = []
      for (const { held, letGo } of contenders) {
        tokens.push((yield* held).fencingToken)
        yield* letGo
      }
      tokens.push((yield* Effect.scoped(them.scoped(id))).fencingToken)
      assert.deepStrictEqual(
        tokens,
        [...new Set(tokens)].toSorted((a, b) => (a < b ? -1 : 1))
      )
    })
  )

  it.effect("have nothing in hand of a lock that they passed on", () =>
    Effect.gen(function* () {
      const { us } = yield* setUp
      const first = yield* contend(us)
      const second = yield* contend(us)
      const held = yield* first.held
      yield* first.letGo
      assert.isTrue(yield* (yield* second.held).isValid)
      assert.isFalse(yield* held.isValid)
      assert.deepInclude(yield* Effect.flip(held.guard(Effect.void)), { _tag: "LockLost", reason: "Released" })
      assert.deepInclude(yield* Effect.flip(held.commit([])), { _tag: "LockLost", reason: "Released" })
      assert.isTrue(yield* (yield* second.held).isValid)
    })
  )

  it.effect("are all told of a loss by whoever has the lock, and the next gets a lock of its own", () =>
    Effect.gen(function* () {
      const { sound, us } = yield* setUp
      const first = yield* contend(us)
      const second = yield* contend(us)
      const held = yield* first.held
      const { resourceVersion } = yield* sound.read(id)
      yield* sound.compareAndSwap(id, { expect: { resourceVersion }, annotations: { [key]: null } })
      yield* TestClock.adjust("4 seconds")
      assert.deepInclude(yield* Effect.flip(held.lost), { reason: "Wiped" })
      yield* first.letGo
      yield* TestClock.adjust("1 second")
      assert.isTrue(yield* (yield* second.held).isValid)
    })
  )

  it.effect("do not pass on a lease that has run out", () =>
    Effect.gen(function* () {
      const { requests, us } = yield* setUp
      const machine = yield* SkewedClock.make
      const onMachine = Effect.provideService(Clock.Clock, machine.clock)
      const first = yield* onMachine(contend(us))
      const second = yield* onMachine(contend(us))
      yield* first.held
      machine.skew = 60_000
      requests.length = 0
      yield* first.letGo
      yield* TestClock.adjust("1 second")
      assert.isTrue(yield* (yield* second.held).isValid)
      assert.deepStrictEqual(requests, ["write", "write"])
    })
  )

  it.effect("time out as anybody does", () =>
    Effect.gen(function* () {
      const { us } = yield* setUp
      const first = yield* contend(us)
      const { holder } = yield* first.held
      const waiting = yield* Effect.forkChild(Effect.flip(us.scoped(id)))
      yield* TestClock.adjust("20 seconds")
      assert.deepInclude(yield* Fiber.join(waiting), { _tag: "LockTimeout", attempts: 201, holder })
      yield* first.letGo
      const next = yield* contend(us)
      yield* TestClock.adjust("1 second")
      yield* next.held
    })
  )

  it.effect("are refused at once where they only try", () =>
    Effect.gen(function* () {
      const { requests, us } = yield* setUp
      const first = yield* contend(us)
      const { holder } = yield* first.held
      requests.length = 0
      assert.deepInclude(yield* Effect.flip(us.tryScoped(id)), { _tag: "LockConflict", reason: "Held", holder })
      assert.lengthOf(requests, 0)
    }).pipe(Effect.scoped)
  )

  it.effect("go on without one that gave up", () =>
    Effect.gen(function* () {
      const { us } = yield* setUp
      const first = yield* contend(us)
      const second = yield* contend(us)
      const third = yield* contend(us)
      yield* first.held
      yield* Fiber.interrupt(second.fiber)
      yield* first.letGo
      yield* third.held
      yield* third.letGo
    })
  )

  it.effect("take over from a seeker that gave up", () =>
    Effect.gen(function* () {
      const { them, us } = yield* setUp
      const other = yield* contend(them)
      yield* other.held
      const seeker = yield* contend(us)
      const next = yield* contend(us)
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(seeker.fiber)
      yield* other.letGo
      yield* TestClock.adjust("1 second")
      yield* next.held
    })
  )

  it.effect("pass on what they were called for in the moment of giving up", () =>
    Effect.gen(function* () {
      const { requests, us } = yield* setUp
      const first = yield* contend(us)
      yield* first.held
      const endsWithTheHold = Schedule.forever.pipe(Schedule.while(() => Effect.as(first.letGo, false)))
      const gaveUp = yield* Effect.flip(us.scoped(id, { polling: endsWithTheHold }))
      assert.strictEqual(gaveUp._tag, "LockTimeout")
      const next = yield* contend(us)
      yield* next.held
      assert.deepStrictEqual(requests, ["read", "write", "write", "write"])
    })
  )

  it.effect("leave a gap for others once their tenure is over", () =>
    Effect.gen(function* () {
      const { requests, them, us } = yield* setUp
      const first = yield* contend(us)
      const second = yield* contend(us)
      yield* first.held
      yield* TestClock.adjust("990 millis")
      const other = yield* contend(them)
      yield* TestClock.adjust("20 millis")
      requests.length = 0
      yield* first.letGo
      assert.deepStrictEqual(requests, ["write"])
      yield* TestClock.adjust("100 millis")
      yield* other.held
      assert.isFalse(yield* second.has)
      yield* other.letGo
      yield* TestClock.adjust("1 second")
      yield* second.held
    })
  )

  it.effect("keep the lock longer from turn to turn where nobody else comes", () =>
    Effect.gen(function* () {
      const { us } = yield* setUp
      const gaps: Array<number> = []
      for (let turn = 0; turn < 5; turn++) {
        let held = 0
        for (;;) {
          const contender = yield* contend(us)
          let waited = 0
          while (!(yield* contender.has)) {
            yield* TestClock.adjust("10 millis")
            waited += 10
          }
          if (waited > 0) gaps.push(held)
          yield* TestClock.adjust("10 millis")
          held += 10
          yield* contender.letGo
          if (waited > 0) break
        }
      }
      assert.deepStrictEqual(
        gaps,
        gaps.toSorted((a, b) => a - b)
      )
      assert.isAbove(gaps.at(-1)!, 1000)
    })
  )

  it.effect("do not share a lease that one of them wants otherwise", () =>
    Effect.gen(function* () {
      const { requests, us } = yield* setUp
      const first = yield* contend(us)
      const second = yield* contend(us, { renew: false })
      const third = yield* contend(us, { ttl: "1 minute" })
      yield* first.held
      requests.length = 0
      yield* first.letGo
      yield* second.held
      assert.deepStrictEqual(requests, ["write", "write"])
      yield* second.letGo
      yield* third.held
      assert.deepStrictEqual(requests, ["write", "write", "write", "write"])
    })
  )
})
