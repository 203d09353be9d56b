/** How far a wait steps its schedule. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as TestClock from "effect/testing/TestClock"
import * as waitBudget from "../../../src/internal/engine/waitBudget.ts"

describe("the budget of a wait", () => {
  it.effect("takes one step of the schedule until that is over, and then enough for a waiter that hears news", () =>
    Effect.gen(function* () {
      let steps = 0
      const counted = Schedule.tap(Schedule.spaced("100 millis"), () => Effect.sync(() => void steps++))
      const budget = waitBudget.make(counted, 0)
      const left = Effect.map(budget.left(undefined, waitBudget.ahead), Option.getOrNull)
      assert.deepStrictEqual([yield* left, steps], [100, 1])
      yield* TestClock.adjust("60 millis")
      assert.deepStrictEqual([yield* left, steps], [40, 1])
      yield* TestClock.adjust("40 millis")
      assert.deepStrictEqual([yield* left, steps], [1000, 11])
    })
  )
})
