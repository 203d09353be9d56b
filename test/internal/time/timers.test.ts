/** One fiber sleeps for all timers. None fires late, and a cancelled timer never fires. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import type { Timer } from "../../../src/internal/time/timerHeap.ts"
import * as Timers from "../../../src/internal/time/timers.ts"

const setUp = Effect.map(Timers.make, ({ cancel, schedule, wait }) => {
  const fired: Array<string> = []
  const scheduleNamed = (millis: number, name: string) => schedule(millis, { fire: () => fired.push(name) })
  return { wait, fired, schedule, scheduleNamed, cancel }
})

describe("timers", () => {
  it.effect("fire when they are due, also one that is due before the others", () =>
    Effect.gen(function* () {
      const { fired, scheduleNamed } = yield* setUp
      scheduleNamed(100, "late")
      scheduleNamed(10.5, "early")
      scheduleNamed(0, "now")
      yield* TestClock.adjust("10 millis")
      assert.deepStrictEqual(fired, ["now"])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(fired, ["now", "early"])
      scheduleNamed(20, "between")
      yield* TestClock.adjust("88 millis")
      assert.deepStrictEqual(fired, ["now", "early", "between"])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(fired, ["now", "early", "between", "late"])
      yield* TestClock.adjust("1 hour")
      scheduleNamed(5, "again")
      yield* TestClock.adjust("5 millis")
      assert.strictEqual(fired.pop(), "again")
    })
  )

  it.effect("do not fire after they are cancelled, even by another that fires at the same time", () =>
    Effect.gen(function* () {
      const { cancel, fired, schedule, scheduleNamed } = yield* setUp
      const timers: Array<Timer> = []
      for (const name of ["a", "b"]) {
        timers.push(
          schedule(10, {
            fire: () => {
              fired.push(name)
              timers.forEach(cancel)
            }
          })
        )
      }
      cancel(scheduleNamed(5, "never"))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(fired, ["a"])
    })
  )

  it.effect("fire after all earlier ones were cancelled", () =>
    Effect.gen(function* () {
      const { cancel, fired, scheduleNamed } = yield* setUp
      cancel(scheduleNamed(10, "never"))
      yield* TestClock.adjust("1 second")
      scheduleNamed(10, "then")
      yield* TestClock.adjust("10 millis")
      assert.deepStrictEqual(fired, ["then"])
    })
  )

  it.effect("may schedule the next one as they fire, without end", () =>
    Effect.gen(function* () {
      const { schedule } = yield* Timers.make
      let times = 0
      const again = {
        fire: () => {
          times++
          schedule(times < 5 ? 0 : 10, again)
        }
      }
      schedule(0, again)
      yield* TestClock.adjust("20 millis")
      assert.strictEqual(times, 7)
    })
  )

  it.effect("fire although another failed", () =>
    Effect.gen(function* () {
      const { fired, schedule, scheduleNamed } = yield* setUp
      schedule(10, {
        fire: () => {
          throw new Error("a timer's own fault")
        }
      })
      scheduleNamed(10, "at once")
      scheduleNamed(20, "later")
      yield* TestClock.adjust("20 millis")
      scheduleNamed(10, "anew")
      yield* TestClock.adjust("10 millis")
      assert.deepStrictEqual(fired, ["at once", "later", "anew"])
    }).pipe(Effect.provide(Logger.layer([])))
  )

  it.effect("fire after their scope has closed", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { cancel, fired, scheduleNamed } = yield* Scope.provide(setUp, scope)
      scheduleNamed(10, "set before")
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("10 millis")
      cancel(scheduleNamed(10, "never"))
      scheduleNamed(20, "set after")
      yield* TestClock.adjust("20 millis")
      assert.deepStrictEqual(fired, ["set before", "set after"])
    })
  )
})

describe("a wait", () => {
  it.effect("ends with the notification, which may come at once, or with the time", () =>
    Effect.gen(function* () {
      const { fired, wait } = yield* setUp
      let notify = () => {}
      let listeners = 0
      const waitFor = (name: string, isThere: boolean) =>
        Effect.map(
          wait(50, (notifyWait) => {
            listeners++
            notify = notifyWait
            if (isThere) notifyWait()
            return () => {
              listeners--
            }
          }),
          () => fired.push(name)
        )
      yield* waitFor("at once", true)
      const inNoTime = yield* Effect.forkChild(wait(0, () => () => {}))
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(inNoTime)
      const notified = yield* Effect.forkChild(waitFor("notified", false), { startImmediately: true })
      yield* TestClock.adjust("49 millis")
      assert.deepStrictEqual(fired, ["at once"])
      notify()
      yield* Fiber.join(notified)
      yield* Effect.forkChild(waitFor("in time", false), { startImmediately: true })
      yield* TestClock.adjust("50 millis")
      assert.deepStrictEqual(fired, ["at once", "notified", "in time"])
      const interrupted = yield* Effect.forkChild(waitFor("never", false), { startImmediately: true })
      yield* Fiber.interrupt(interrupted)
      assert.strictEqual(listeners, 0)
    })
  )
})
