/** The contenders of one process. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as TestClock from "effect/testing/TestClock"
import { dexGap as gap } from "../../../src/internal/protocol/fairness.ts"
import * as Lock from "../../../src/Lock.ts"
import * as LockPolicy from "../../../src/LockPolicy.ts"
import { ObjectStore } from "../../../src/ObjectStore.ts"
import { contend as contendFor } from "../../utils/contend.ts"
import * as FaultyStore from "../../utils/FaultyStore.ts"
import * as SkewedClock from "../../utils/SkewedClock.ts"

const id = "token"
const key = LockPolicy.dexAnnotation

const setUpWith = (policy: LockPolicy.Options) =>
  Effect.gen(function* () {
    const faulty = yield* FaultyStore.make([id])
    const aProcess = (identity: string) =>
      Lock.make({ identity, policy: LockPolicy.make({ annotation: key, ...policy }) }).pipe(
        Effect.provideService(ObjectStore, faulty.store)
      )
    return { ...faulty, us: yield* aProcess("us"), them: yield* aProcess("them") }
  })

const setUp = setUpWith({})

/** A fiber that takes the lock and keeps it until `letGo`. */
const contend = (lock: Lock.Lock["Service"], options?: Lock.AcquireOptions) => contendFor(lock, id, options)

describe("the contenders of one process", () => {
  it.effect("get the lock in the order in which they came, without a request in between", () =>
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

  it.effect("get growing fencing tokens, all of them smaller than that of the next process", () =>
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

  it.effect("can no longer use a lock that they handed on", () =>
    Effect.gen(function* () {
      const { us } = yield* setUp
      const first = yield* contend(us)
      const second = yield* contend(us)
      const held = yield* first.held
      yield* first.letGo
      assert.isTrue(yield* (yield* second.held).isValid)
      assert.isFalse(yield* held.isValid)
      assert.deepInclude(yield* Effect.flip(held.guard(Effect.void)), { _tag: "LockLost", reason: "Released" })
      assert.deepInclude(yield* Effect.flip(held.commitAndRelease([])), { _tag: "LockLost", reason: "Released" })
      assert.isTrue(yield* (yield* second.held).isValid)
    })
  )

  it.effect("hear of a loss from the one that holds the lock, and the next acquires it anew", () =>
    Effect.gen(function* () {
      const { sound, us } = yield* setUp
      const first = yield* contend(us)
      const second = yield* contend(us)
      const held = yield* first.held
      const { resourceVersion } = yield* sound.read(id)
      yield* sound.compareAndSwap(id, { expect: { resourceVersion }, annotations: { [key]: null } })
      yield* TestClock.adjust("4 seconds")
      assert.deepInclude(yield* Effect.flip(held.lost), { reason: "Removed" })
      yield* first.letGo
      yield* TestClock.adjust("1 second")
      assert.isTrue(yield* (yield* second.held).isValid)
    })
  )

  it.effect("do not hand on a lease that has run out", () =>
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

  it.effect("time out like any other contender", () =>
    Effect.gen(function* () {
      const { us } = yield* setUp
      const first = yield* contend(us)
      const { holderId: holder } = yield* first.held
      const waiting = yield* Effect.forkChild(Effect.flip(us.scoped(id)))
      yield* TestClock.adjust("20 seconds")
      assert.deepInclude(yield* Fiber.join(waiting), { _tag: "LockTimeout", attempts: 0, holder })
      yield* first.letGo
      const next = yield* contend(us)
      yield* TestClock.adjust("1 second")
      yield* next.held
    })
  )

  it.effect("are refused at once if they only try", () =>
    Effect.gen(function* () {
      const { requests, us } = yield* setUp
      const first = yield* contend(us)
      const { holderId: holder } = yield* first.held
      requests.length = 0
      assert.deepInclude(yield* Effect.flip(us.tryScoped(id)), { _tag: "LockConflict", reason: "Held", holder })
      assert.lengthOf(requests, 0)
    }).pipe(Effect.scoped)
  )

  it.effect("pass over one that gave up", () =>
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

  it.effect("continue the acquisition of one that gave up", () =>
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

  it.effect("hand the lock on if they get it at the moment at which they give up", () =>
    Effect.gen(function* () {
      const { requests, us } = yield* setUp
      const first = yield* contend(us)
      yield* first.held
      const endsWithTheHold = Schedule.forever.pipe(Schedule.while(() => Effect.as(first.letGo, false)))
      const gaveUp = yield* Effect.flip(us.scoped(id, { waitSchedule: endsWithTheHold }))
      assert.strictEqual(gaveUp._tag, "LockTimeout")
      const next = yield* contend(us)
      yield* next.held
      assert.deepStrictEqual(requests, ["read", "write", "write", "write"])
    })
  )

  it.effect("hand the lock to other processes when the fairness budget is spent, and queue behind them", () =>
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
      yield* TestClock.adjust("1 millis")
      yield* other.held
      assert.isFalse(yield* second.has)
      yield* other.letGo
      yield* TestClock.adjust("1 millis")
      yield* second.held
      assert.isAtMost(requests.length, 5)
    })
  )

  it.effect("leave a gap for Dex when the fairness budget is spent", () =>
    Effect.gen(function* () {
      const { requests, sound, us } = yield* setUpWith({ sharedWithDex: true })
      const first = yield* contend(us)
      const second = yield* contend(us)
      yield* first.held
      yield* TestClock.adjust("1010 millis")
      requests.length = 0
      yield* first.letGo
      assert.deepStrictEqual(requests, ["write"])
      assert.notProperty((yield* sound.read(id)).annotations, key)
      yield* TestClock.adjust(gap - 10)
      assert.isFalse(yield* second.has)
      yield* TestClock.adjust(20)
      yield* second.held
    })
  )

  /** Holds the lock again and again for 10 ms each. Returns for how long in all it was held before each wait. */
  const holdAgain = Effect.fnUntraced(function* (us: Lock.Lock["Service"], wanted: { waits: number; holds: number }) {
    const spans: Array<number> = []
    let held = 0
    for (let hold = 0; hold < wanted.holds && spans.length < wanted.waits; hold++) {
      const contender = yield* contend(us)
      let waited = 0
      while (!(yield* contender.has)) {
        yield* TestClock.adjust("10 millis")
        waited += 10
      }
      if (waited > 0) {
        spans.push(held)
        held = 0
      }
      yield* TestClock.adjust("10 millis")
      held += 10
      yield* contender.letGo
    }
    return spans
  })

  it.effect("keep the lock longer from budget to budget beside Dex, if no other process comes", () =>
    Effect.gen(function* () {
      const { us } = yield* setUpWith({ sharedWithDex: true })
      const budgets = yield* holdAgain(us, { waits: 5, holds: 1500 })
      assert.lengthOf(budgets, 5)
      assert.deepStrictEqual(
        budgets,
        budgets.toSorted((a, b) => a - b)
      )
      assert.isAbove(budgets.at(-1)!, 1000)
    })
  )

  it.effect("never wait if no other process comes and Dex does not share the object", () =>
    Effect.gen(function* () {
      const { us } = yield* setUp
      assert.deepStrictEqual(yield* holdAgain(us, { waits: 1, holds: 500 }), [])
    })
  )

  it.effect("look for other processes at the end of each fairness budget, by a release and an acquisition", () =>
    Effect.gen(function* () {
      const { requests, us } = yield* setUp
      let last = yield* contend(us)
      for (let hold = 0; hold < 450; hold++) {
        const next = yield* contend(us)
        yield* TestClock.adjust("10 millis")
        yield* last.letGo
        yield* next.held
        last = next
      }
      // In four and a half seconds: three acquisitions, of which the first reads, and two releases. No lease was renewed.
      assert.deepStrictEqual(requests, ["read", "write", "write", "write", "write", "write"])
    })
  )

  it.effect("do not share a lease if their policies differ", () =>
    Effect.gen(function* () {
      const { requests, us } = yield* setUp
      const first = yield* contend(us)
      const second = yield* contend(us, { renewEvery: false })
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
