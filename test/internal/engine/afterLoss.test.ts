/** After a loss there is nothing left to release, so the loss is told at once. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as TestClock from "effect/testing/TestClock"
import * as LockError from "../../../src/LockError.ts"
import * as LockRecord from "../../../src/LockRecord.ts"
import type { Fault } from "../../utils/FaultyStore.ts"
import { dead, id, key, type Process, setUp } from "../../utils/processes.ts"

/** Works under the lock until it is lost. Succeeds with the error and the time at which it was told. */
const workUntilLost = ({ lock }: Process) =>
  Effect.scoped(Effect.flatMap(lock.scoped(id), (held) => held.guard(Effect.never))).pipe(
    Effect.flip,
    Effect.flatMap((error) => Effect.map(Clock.currentTimeMillis, (at) => ({ error, at }))),
    Effect.forkChild({ startImmediately: true })
  )

const always = (fault: Fault) =>
  (["read", "write"] as const).flatMap((verb) => Array.from({ length: 1000 }, () => [verb, fault] as const))

describe("a lock that is lost", () => {
  for (const fault of ["Refused", "Hangs"] as const) {
    it.effect(`while the server is out of reach (${fault}) is told when its lease ends, in one line`, () =>
      Effect.gen(function* () {
        const lines: Array<string> = []
        const keep = Logger.make(({ message }) => {
          lines.push(String(message))
        })
        yield* Effect.gen(function* () {
          const us = yield* (yield* setUp).aProcess("us")
          const work = yield* workUntilLost(us)
          yield* TestClock.adjust("1 second")
          us.faults.push(...always(fault))
          yield* TestClock.adjust("20 seconds")
          const { at, error } = yield* Fiber.join(work)
          assert.deepInclude(error, { _tag: "LockLost", reason: "Expired" })
          assert.isAtMost(at, 10_000)
        }).pipe(Effect.provide(Logger.layer([keep])))
        assert.lengthOf(lines, 1)
        assert.match(lines[0]!, /^Lost lock "token"/)
      })
    )
  }

  it.effect("because another has it, or it was removed, is not released at all", () =>
    Effect.gen(function* () {
      const expiry = LockRecord.expiryAt(60_000)
      const theirs = LockRecord.toAnnotations(key, { holderId: dead(1), expiry })
      for (const [change, reason] of [
        [theirs, "TakenOver"],
        [LockRecord.removal(key), "Removed"]
      ] as const) {
        const world = yield* setUp
        const us = yield* world.aProcess("us")
        const work = yield* workUntilLost(us)
        yield* world.annotate(change)
        us.requests.length = 0
        yield* TestClock.adjust("4 seconds")
        assert.deepInclude((yield* Fiber.join(work)).error, { _tag: "LockLost", reason })
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(us.requests, ["write", "read"])
      }
    }).pipe(Effect.provide(Logger.layer([])))
  )

  it.effect("because its object was reported missing by mistake is released all the same", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const us = yield* world.aProcess("us")
      const work = yield* workUntilLost(us)
      us.faults.push(["write", new LockError.NotFound({ id, object: id, missing: "object" })])
      yield* TestClock.adjust("4 seconds")
      assert.deepInclude((yield* Fiber.join(work)).error, { _tag: "LockLost", reason: "Deleted" })
      yield* world.isUntouched
    }).pipe(Effect.provide(Logger.layer([])))
  )

  it.effect("is not said to be held by this process any more, and can be had again", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const us = yield* world.aProcess("us")
      const work = yield* workUntilLost(us)
      yield* world.annotate(LockRecord.removal(key))
      const again = Effect.scoped(us.lock.tryScoped(id))
      const atOnce = yield* Effect.forkChild(Effect.andThen(Fiber.await(work), Effect.flip(again)))
      yield* TestClock.adjust("4 seconds")
      const error = yield* Fiber.join(atOnce)
      assert.deepInclude(error, { _tag: "LockConflict", thisProcess: "Waits" })
      assert.include(error.message, "another fiber of this process is acquiring or releasing it")
      yield* again
    }).pipe(Effect.provide(Logger.layer([])))
  )

  for (const [when, faults, wait] of [
    ["once the server answers", [], "1 millis"],
    ["also if the queue changes at that moment", [["write", "Conflicts"]], "1 second"]
  ] as const) {
    it.effect(`although a renewal without an answer prolonged it is released ${when}`, () =>
      Effect.gen(function* () {
        const world = yield* setUp
        const us = yield* world.aProcess("us", { ttl: "10 seconds", renewEvery: "3 seconds" })
        const work = yield* workUntilLost(us)
        us.faults.push(["write", "Unanswered"], ...always("Hangs"))
        yield* TestClock.adjust("9850 millis")
        us.faults.length = 0
        us.faults.push(...faults)
        yield* TestClock.adjust("200 millis")
        assert.deepInclude((yield* Fiber.join(work)).error, { _tag: "LockLost", reason: "Expired" })
        yield* TestClock.adjust(wait)
        yield* world.isUntouched
      }).pipe(Effect.provide(Logger.layer([])))
    )
  }
})
