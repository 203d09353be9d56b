/** Leases are renewed in time, and end when they run out. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import * as Renewer from "../../../src/internal/engine/renewer.ts"
import * as ClockReading from "../../../src/internal/time/clockReading.ts"
import * as Timers from "../../../src/internal/time/timers.ts"

describe("the renewer", () => {
  it.effect("ends a lease that had a rest too short for a timer, and does not spin until then", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const timers = yield* Timers.make
      let looks = 0
      let expired = 0
      Renewer.make(timers).keep({
        remaining: () => {
          looks++
          return 1000.0005 - ClockReading.monotonic(clock)
        },
        renewIn: undefined,
        renew: Effect.undefined,
        expire: Effect.sync(() => void expired++),
        broke: () => Effect.void,
        fork: Effect.runFork
      })
      // It fires a little earlier, and with it the timer of the lease.
      timers.schedule(1000, { fire: () => {} })
      yield* TestClock.adjust("1000 millis")
      assert.strictEqual(expired, 0)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(expired, 1)
      assert.isBelow(looks, 10)
    })
  )
})
