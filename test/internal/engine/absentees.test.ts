import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import * as absentees from "../../../src/internal/engine/absentees.ts"

const waiter = (process: string, sequence = 1) => `name/${process}${"0".repeat(12 - process.length)}.${sequence}`

describe("a process whose session has ended", () => {
  it.effect("is passed over as a waiter, and no other is", () =>
    Effect.gen(function* () {
      const { includes, note } = yield* absentees.make
      note(waiter("a"))
      assert.deepStrictEqual([waiter("a"), waiter("a", 2), waiter("b")].map(includes), [true, true, false])
    })
  )

  it.effect("lives if a waiter is in a queue again that was passed over", () =>
    Effect.gen(function* () {
      const { includes, note } = yield* absentees.make
      note(waiter("a"))
      assert.isTrue(includes(waiter("a")))
      // The same release may be written again.
      yield* TestClock.adjust("900 millis")
      assert.isTrue(includes(waiter("a")))
      yield* TestClock.adjust("200 millis")
      assert.isTrue(includes(waiter("a", 2)))
      assert.isFalse(includes(waiter("a")))
      assert.isFalse(includes(waiter("a", 2)))
    })
  )

  it.effect("is not passed over for ever", () =>
    Effect.gen(function* () {
      const { includes, note } = yield* absentees.make
      note(waiter("a"))
      yield* TestClock.adjust("5 minutes")
      assert.isTrue(includes(waiter("a")))
      yield* TestClock.adjust("1 millis")
      assert.isFalse(includes(waiter("a", 2)))
    })
  )
})
