/** One fiber sleeps for all alarms: none rings late for it, none rings that was called off. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import * as alarms from "../../../src/internal/time/timers.ts"

const setUp = Effect.map(alarms.make, ({ schedule: set, wait }) => {
  const rung: Array<string> = []
  return { wait, rung, setWith: set, set: (millis: number, name: string) => set(millis, () => rung.push(name)) }
})

describe("alarms", () => {
  it.effect("ring when they are due, also one that is due before the others", () =>
    Effect.gen(function* () {
      const { rung, set } = yield* setUp
      set(100, "late")
      set(10.5, "early")
      set(0, "now")
      yield* TestClock.adjust("10 millis")
      assert.deepStrictEqual(rung, ["now"])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(rung, ["now", "early"])
      set(20, "between")
      yield* TestClock.adjust("88 millis")
      assert.deepStrictEqual(rung, ["now", "early", "between"])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(rung, ["now", "early", "between", "late"])
      yield* TestClock.adjust("1 hour")
      set(5, "again")
      yield* TestClock.adjust("5 millis")
      assert.strictEqual(rung.pop(), "again")
    })
  )

  it.effect("do not ring once they are called off, be it by another that rings at the same time", () =>
    Effect.gen(function* () {
      const { schedule: set } = yield* alarms.make
      const rung: Array<string> = []
      const callOffs: Array<() => void> = []
      for (const name of ["a", "b"]) {
        callOffs.push(
          set(10, () => {
            rung.push(name)
            for (const callOff of callOffs) callOff()
          })
        )
      }
      set(5, () => rung.push("never"))()
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(rung, ["a"])
    })
  )

  it.effect("ring also after all that were set before were called off", () =>
    Effect.gen(function* () {
      const { rung, set } = yield* setUp
      set(10, "never")()
      yield* TestClock.adjust("1 second")
      set(10, "then")
      yield* TestClock.adjust("10 millis")
      assert.deepStrictEqual(rung, ["then"])
    })
  )

  it.effect("may set the next one as they ring, without end", () =>
    Effect.gen(function* () {
      const { schedule: set } = yield* alarms.make
      let times = 0
      const again = () => {
        times++
        set(times < 5 ? 0 : 10, again)
      }
      set(0, again)
      yield* TestClock.adjust("20 millis")
      assert.strictEqual(times, 7)
    })
  )

  it.effect("ring although another failed", () =>
    Effect.gen(function* () {
      const { rung, set, setWith } = yield* setUp
      setWith(10, () => {
        throw new Error("an alarm's own fault")
      })
      set(10, "at once")
      set(20, "later")
      yield* TestClock.adjust("20 millis")
      set(10, "anew")
      yield* TestClock.adjust("10 millis")
      assert.deepStrictEqual(rung, ["at once", "later", "anew"])
    }).pipe(Effect.provide(Logger.layer([])))
  )

  it.effect("ring also after their scope has closed", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { rung, set } = yield* Scope.provide(setUp, scope)
      set(10, "set before")
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("10 millis")
      set(10, "never")()
      set(20, "set after")
      yield* TestClock.adjust("20 millis")
      assert.deepStrictEqual(rung, ["set before", "set after"])
    })
  )
})

describe("a wait", () => {
  it.effect("ends with the call, be it at once, or with the time", () =>
    Effect.gen(function* () {
      const { rung, wait } = yield* setUp
      let call = () => {}
      let listeners = 0
      const waitFor = (name: string, isThere: boolean) =>
        Effect.map(
          wait(50, (wake) => {
            listeners++
            call = wake
            if (isThere) wake()
            return () => {
              listeners--
            }
          }),
          () => rung.push(name)
        )
      yield* waitFor("at once", true)
      const inNoTime = yield* Effect.forkChild(wait(0, () => () => {}))
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(inNoTime)
      const called = yield* Effect.forkChild(waitFor("called", false), { startImmediately: true })
      yield* TestClock.adjust("49 millis")
      assert.deepStrictEqual(rung, ["at once"])
      call()
      yield* Fiber.join(called)
      yield* Effect.forkChild(waitFor("in time", false), { startImmediately: true })
      yield* TestClock.adjust("50 millis")
      assert.deepStrictEqual(rung, ["at once", "called", "in time"])
      const interrupted = yield* Effect.forkChild(waitFor("never", false), { startImmediately: true })
      yield* Fiber.interrupt(interrupted)
      assert.strictEqual(listeners, 0)
    })
  )
})
