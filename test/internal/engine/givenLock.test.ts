/** Locks that are given away and adopted, whose server answers this and that, in virtual time. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import type { Held } from "../../../src/Held.ts"
import * as LockError from "../../../src/LockError.ts"
import { holderKey as holderKeyOf } from "../../../src/LockRecord.ts"
import * as Lock from "../../../src/Lock.ts"
import { ObjectStore } from "../../../src/ObjectStore.ts"
import type { FaultyStore } from "../../utils/FaultyStore.ts"
import * as lockSessions from "../../utils/lockSessions.ts"
import { id, key, pass, setUp } from "../../utils/processes.ts"

/** A process that holds the lock, and another one that may adopt it. Locks last 10 seconds, and are renewed each 3 1/3. */
const setUpTwo = Effect.gen(function* () {
  const world = yield* setUp
  const us = yield* world.aProcess("us")
  const them = yield* world.aProcess("them")
  const holder = yield* us.wants()
  return { ...world, us, them, held: yield* holder.held, leave: holder.letGo }
})

const holderKey = holderKeyOf(key)

/** Starts an effect, and lets it run until it waits for time. */
const start = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.tap(Effect.forkChild(Effect.exit(effect), { startImmediately: true }), () => TestClock.adjust("1 millis"))

const noAnswer = new LockError.Unavailable({ object: id, verb: "patch", detail: "a fault of the test" })
const forbidden = new LockError.Forbidden({ object: id, verb: "patch", status: 403, detail: "no" })

describe("a lock that is given away", () => {
  it.effect("costs no request, and the lease runs on as it stands", () =>
    Effect.gen(function* () {
      const { annotations, held, leave, us } = yield* setUpTwo
      const before = yield* annotations
      const requests = us.requests.length
      const { expiry } = yield* held.give()
      yield* pass(20_000, 500)
      yield* leave
      assert.strictEqual(us.requests.length, requests)
      assert.deepStrictEqual(yield* annotations, before)
      assert.strictEqual(before[key], expiry)
    }).pipe(Effect.scoped)
  )

  it.effect("while a renewal is under way is adopted whatever becomes of that", () =>
    Effect.gen(function* () {
      const { held, holder, leave, them, us } = yield* setUpTwo
      us.faults.push(["write", "Unanswered"])
      yield* pass(3500, 100)
      const handle = yield* held.give()
      yield* leave
      const adopted = yield* them.lock.adopt(handle)
      assert.isTrue(yield* adopted.isValid)
      yield* pass(30_000, 500)
      assert.isTrue(yield* adopted.isValid)
      assert.strictEqual(yield* holder, "them")
    }).pipe(Effect.scoped)
  )

  it.effect("is written once more for a TTL, again after failures that pass", () =>
    Effect.gen(function* () {
      const { annotations, held, us } = yield* setUpTwo
      us.faults.push(["write", "Refused"], ["write", forbidden], ["write", "Lost"], ["write", "Conflicts"])
      const giving = yield* start(held.give("1 minute"))
      yield* pass(9000, 100)
      const exit = yield* Fiber.join(giving)
      assert.isTrue(Exit.isSuccess(exit))
      if (Exit.isSuccess(exit)) assert.strictEqual((yield* annotations)[key], exit.value.expiry)
      assert.isAbove(Date.parse((yield* annotations)[key]!), 60_000)
    }).pipe(Effect.scoped)
  )

  it.effect("is lost if it cannot be written for a TTL before its lease runs out", () =>
    Effect.gen(function* () {
      const { held, us } = yield* setUpTwo
      for (let i = 0; i < 100; i++) us.faults.push(["write", "Refused"])
      const giving = yield* start(Effect.flip(held.give("1 minute")))
      const lost = yield* start(Effect.flip(held.lost))
      yield* pass(10_100, 100)
      for (const fiber of [giving, lost]) {
        const exit = yield* Fiber.join(fiber)
        assert.deepInclude(Exit.isSuccess(exit) ? exit.value : {}, { _tag: "LockLost", reason: "Expired" })
      }
    }).pipe(Effect.scoped)
  )

  it.effect("is lost if another one has taken it before it is written for a TTL", () =>
    Effect.gen(function* () {
      const { annotate, held } = yield* setUpTwo
      yield* annotate({ [key]: null })
      assert.deepInclude(yield* Effect.flip(held.give("1 minute")), { _tag: "LockLost", reason: "Removed" })
    }).pipe(Effect.scoped)
  )

  it.effect("cannot be given after its lease has run out", () =>
    Effect.gen(function* () {
      const { held, us } = yield* setUpTwo
      for (let i = 0; i < 100; i++) us.faults.push(["write", "Refused"])
      yield* pass(10_100, 100)
      assert.strictEqual((yield* Effect.flip(held.give())).reason, "Expired")
    }).pipe(Effect.scoped)
  )

  it.effect("is lost when its session ends, if it cannot be written until then", () =>
    Effect.gen(function* () {
      const { record, us } = yield* lockSessions.setUpTwo
      const held = yield* Scope.provide(us.lock.scoped("a"), yield* Scope.make())
      assert.isDefined((yield* record("a"))?.session)
      yield* us.crashes
      const giving = yield* Effect.forkDetach(Effect.exit(held.give()))
      yield* pass(16_000, 500)
      const exit = giving.pollUnsafe()
      assert.isDefined(exit, "it goes on")
      assert.deepInclude(yield* Effect.flip(Effect.flatten(exit)), { _tag: "LockLost", reason: "Expired" })
    }).pipe(Effect.scoped)
  )

  it.effect("goes on under a lease of its own if it was held under a session", () =>
    Effect.gen(function* () {
      const { record, them, us } = yield* lockSessions.setUpTwo
      const scope = yield* Scope.make()
      const held = yield* Scope.provide(us.lock.scoped("a"), scope)
      assert.isDefined((yield* record("a"))?.session)
      const handle = yield* held.give()
      assert.isUndefined((yield* record("a"))?.session)
      assert.isBelow((yield* record("a"))!.expiresAt, 30_000)
      // A contender of the same process waits for it like any other.
      const waiter = yield* start(Effect.scoped(us.lock.scoped("a")))
      const adopting = yield* Scope.make()
      const adopted = yield* Scope.provide(them.lock.adopt(handle), adopting)
      yield* Scope.close(scope, Exit.void)
      yield* pass(15_000, 500)
      assert.isUndefined((yield* record("a"))?.session)
      assert.isTrue(yield* adopted.isValid)
      assert.isUndefined(waiter.pollUnsafe())
      yield* Scope.close(adopting, Exit.void)
      yield* pass(1000)
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(waiter)))
    }).pipe(Effect.scoped)
  )
})

describe("an adoption", () => {
  it.effect("by the process that waits for the lock does not wait for itself, and is handed on to it", () =>
    Effect.gen(function* () {
      const { held, isUntouched, leave, them } = yield* setUpTwo
      const waiter = yield* them.wants()
      const handle = yield* held.give()
      yield* leave
      const scope = yield* Scope.make()
      const adopted = yield* Scope.provide(them.lock.adopt(handle), scope)
      yield* pass(12_000, 500)
      assert.isFalse(yield* waiter.has)
      assert.isTrue(yield* adopted.isValid)
      yield* Scope.close(scope, Exit.void)
      yield* pass(1000)
      assert.isTrue(yield* waiter.has)
      yield* waiter.letGo
      yield* isUntouched
    }).pipe(Effect.scoped)
  )

  for (const fault of ["Lost", "Unanswered", "Refused", "Hangs", "Conflicts"] as const) {
    it.effect(`is done once if the answer to its write is: ${fault}`, () =>
      Effect.gen(function* () {
        const { held, holder, isUntouched, leave, them } = yield* setUpTwo
        const handle = yield* held.give("1 minute")
        yield* leave
        const scope = yield* Scope.make()
        them.faults.push(["write", fault])
        const adopting = yield* start(Scope.provide(them.lock.adopt(handle), scope))
        yield* pass(8000, 100)
        const exit = yield* Fiber.join(adopting)
        assert.isTrue(Exit.isSuccess(exit))
        if (Exit.isSuccess(exit)) assert.isTrue(yield* (exit.value as Held).isValid)
        assert.strictEqual(yield* holder, "them")
        yield* Scope.close(scope, Exit.void)
        yield* pass(100)
        yield* isUntouched
      }).pipe(Effect.scoped)
    )
  }

  it.effect("that is interrupted without knowing whether it was written leaves the lock to nobody", () =>
    Effect.gen(function* () {
      const { held, isUntouched, leave, them } = yield* setUpTwo
      const handle = yield* held.give("1 minute")
      yield* leave
      them.faults.push(["write", "Unanswered"])
      const adopting = yield* start(Effect.scoped(them.lock.adopt(handle)))
      const interruption = yield* start(Fiber.interrupt(adopting))
      yield* pass(6000, 100)
      yield* Fiber.join(interruption)
      yield* isUntouched
    }).pipe(Effect.scoped)
  )

  for (const lands of [20, 8000, 60_000]) {
    it.effect(
      `that is interrupted, and whose write lands ${lands} ms after it was sent, has it or leaves the handle as it was`,
      () =>
        Effect.gen(function* () {
          const world = yield* setUpTwo
          const store = world.them.sound
          const { lock } = yield* world.aProcess("late", { ttl: "1 hour" }, (own) => ({
            ...own,
            compareAndSwap: (id, write) =>
              write.annotations[holderKey]?.startsWith("late/") === true
                ? Effect.andThen(
                    Effect.forkDetach(Effect.delay(Effect.ignore(store.compareAndSwap(id, write)), lands), {
                      startImmediately: true
                    }),
                    Effect.delay(Effect.fail(noAnswer), "5 seconds")
                  )
                : own.compareAndSwap(id, write)
          }))
          const handle = yield* world.held.give("1 minute")
          yield* world.leave
          const adopting = yield* start(Effect.scoped(lock.adopt(handle)))
          yield* Effect.forkChild(Fiber.interrupt(adopting))
          yield* pass(90_000, 500)
          if (lands === 20) return yield* world.isUntouched
          assert.strictEqual(yield* world.holder, "us")
          assert.isTrue(yield* (yield* world.them.lock.adopt(handle)).isValid)
        }).pipe(Effect.scoped)
    )
  }

  it.effect("that is interrupted before its write leaves the lock to others that adopt it", () =>
    Effect.gen(function* () {
      const { held, leave, them, us } = yield* setUpTwo
      const handle = yield* held.give("1 minute")
      yield* leave
      them.faults.push(["read", "Hangs"])
      const adopting = yield* start(Effect.scoped(them.lock.adopt(handle)))
      yield* Fiber.interrupt(adopting)
      yield* pass(6000, 100)
      assert.isTrue(yield* (yield* us.lock.adopt(handle)).isValid)
    }).pipe(Effect.scoped)
  )

  it.effect("fails with the last error if the server cannot be reached for ten seconds", () =>
    Effect.gen(function* () {
      const { held, leave, them } = yield* setUpTwo
      const handle = yield* held.give("1 minute")
      yield* leave
      for (let i = 0; i < 100; i++) them.faults.push(["read", "Refused"])
      const adopting = yield* start(Effect.flip(Effect.scoped(them.lock.adopt(handle))))
      yield* pass(12_000, 100)
      const exit = yield* Fiber.join(adopting)
      assert.deepInclude(Exit.isSuccess(exit) ? exit.value : {}, { _tag: "LockUnavailable" })
    }).pipe(Effect.scoped)
  )

  it.effect("takes a lock whose lease has run out, as long as nobody took it over", () =>
    Effect.gen(function* () {
      const { held, leave, them } = yield* setUpTwo
      const handle = yield* held.give()
      yield* leave
      yield* pass(60_000, 1000)
      assert.isTrue(yield* (yield* them.lock.adopt(handle)).isValid)
    }).pipe(Effect.scoped)
  )

  it.effect("is not prevented by the write of one that gave up long ago", () =>
    Effect.gen(function* () {
      const { annotations, held, leave, them, us } = yield* setUpTwo
      const handle = yield* held.give("1 minute")
      yield* leave
      const adopted = yield* them.lock.adopt(handle)
      const before = yield* annotations
      const error = yield* Effect.flip(us.lock.renewGiven(handle, "1 hour"))
      assert.deepInclude(error, { _tag: "LockStale", reason: "TakenOver", holder: adopted.holderId })
      assert.deepStrictEqual(yield* annotations, before)
    }).pipe(Effect.scoped)
  )
})

describe("a handle", () => {
  it.effect("whose release got no answer has released", () =>
    Effect.gen(function* () {
      const { held, isUntouched, leave, them } = yield* setUpTwo
      const handle = yield* held.give("1 minute")
      yield* leave
      them.faults.push(["write", "Lost"])
      const releasing = yield* start(them.lock.releaseGiven(handle))
      yield* pass(1000)
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(releasing)))
      yield* isUntouched
    }).pipe(Effect.scoped)
  )

  it.effect("whose renewal got no answer and that was then taken from has not renewed", () =>
    Effect.gen(function* () {
      const { annotate, held, leave, them } = yield* setUpTwo
      const handle = yield* held.give("1 minute")
      yield* leave
      them.faults.push(["write", "Lost"], ["read", "None"], ["read", "Hangs"])
      const renewing = yield* start(Effect.flip(them.lock.renewGiven(handle, "5 minutes")))
      yield* annotate({ [key]: null })
      yield* pass(8000, 100)
      const exit = yield* Fiber.join(renewing)
      assert.deepInclude(Exit.isSuccess(exit) ? exit.value : {}, { _tag: "LockStale", reason: "Removed" })
    }).pipe(Effect.scoped)
  )

  // A process between whose reading and writing something happens, or whose write something changes.
  const over = (
    { store }: Pick<FaultyStore, "store">,
    write: (compareAndSwap: ReturnType<typeof store.compareAndSwap>) => ReturnType<typeof store.compareAndSwap>
  ) =>
    Lock.make().pipe(
      Effect.provideService(ObjectStore, {
        ...store,
        compareAndSwap: (...args) => write(store.compareAndSwap(...args))
      })
    )

  it.effect("that another one adopts between the reading and the write of a renewal is the other's", () =>
    Effect.gen(function* () {
      const { held, holder, leave, them, us } = yield* setUpTwo
      const handle = yield* held.give("1 minute")
      yield* leave
      const scope = yield* Scope.make()
      let adopted: Held | undefined
      const third = yield* over(us, (writing) =>
        Effect.andThen(
          Effect.orDie(
            Effect.map(Scope.provide(them.lock.adopt(handle), scope), (held) => {
              adopted ??= held
            })
          ),
          writing
        )
      )
      const renewing = yield* start(Effect.flip(third.renewGiven(handle, "5 minutes")))
      yield* pass(2000, 100)
      const exit = yield* Fiber.join(renewing)
      assert.deepInclude(Exit.isSuccess(exit) ? exit.value : {}, { _tag: "LockStale", reason: "TakenOver" })
      assert.strictEqual(yield* holder, "them")
      yield* pass(8000, 100)
      assert.isTrue(yield* adopted!.isValid)
      yield* Scope.close(scope, Exit.void)
    }).pipe(Effect.scoped)
  )

  it.effect("is not adopted by a write that the server accepts and does not store", () =>
    Effect.gen(function* () {
      const { held, holder, leave, us } = yield* setUpTwo
      const handle = yield* held.give("1 minute")
      yield* leave
      const third = yield* over(us, () => Effect.asSome(Effect.orDie(us.sound.read(id))))
      const adopting = yield* start(Effect.flip(Effect.scoped(third.adopt(handle))))
      yield* pass(12_000, 500)
      const exit = yield* Fiber.join(adopting)
      assert.deepInclude(Exit.isSuccess(exit) ? exit.value : {}, { _tag: "LockAltered" })
      assert.strictEqual(yield* holder, "us")
    }).pipe(Effect.scoped)
  )

  it.effect("whose adoption got no answer is relied on for no longer than the lease that stands", () =>
    Effect.gen(function* () {
      const { held, leave, them } = yield* setUpTwo
      const handle = yield* held.give("1 minute")
      yield* leave
      them.faults.push(["write", "Unanswered"])
      const adopting = yield* start(them.lock.adopt(handle, { renewEvery: false }))
      yield* pass(6000, 100)
      const exit = yield* Fiber.join(adopting)
      const adopted = Exit.isSuccess(exit) ? (exit.value as Held) : assert.fail("it is not adopted")
      assert.isTrue(yield* adopted.isValid)
      // It lasts for ten seconds from its write on, and one of rounding. The answer took five of them.
      yield* pass(5500, 100)
      assert.isFalse(yield* adopted.isValid)
    }).pipe(Effect.scoped)
  )

  it.effect("with a time that cannot be is a mistake in the program", () =>
    Effect.gen(function* () {
      const { held, them } = yield* setUpTwo
      const exits = [
        yield* Effect.exit(held.give("1 milli")),
        yield* Effect.exit(them.lock.renewGiven({ id, holderId: "x" }, "2 days"))
      ]
      for (const exit of exits) assert.match(String(exit), /RangeError.*ttl must be from 1 second to 1 day/)
      assert.isTrue(yield* held.isValid)
    }).pipe(Effect.scoped)
  )
})
