import { assert, describe, it } from "@effect/vitest"
import * as statistics from "../../../src/cli/bench/harness/statistics.ts"

describe("quantiles", () => {
  it("are the smallest sample that the share of the samples does not exceed", () => {
    const sorted = Array.from({ length: 100 }, (_, index) => index + 1)
    assert.strictEqual(statistics.quantile(sorted, 0.5), 50)
    assert.strictEqual(statistics.quantile(sorted, 0.99), 99)
    assert.strictEqual(statistics.quantile(sorted, 1), 100)
    assert.strictEqual(statistics.quantile(sorted, 0), 1)
    assert.isNull(statistics.quantile([], 0.5))
  })

  it("have a median", () => {
    assert.strictEqual(statistics.median([9, 1, 5]), 5)
    assert.strictEqual(statistics.median([9, 1, 5, 7]), 6)
    assert.isNull(statistics.median([]))
  })
})

describe("fairness", () => {
  it("is 1 if all have the same", () => {
    assert.deepStrictEqual(statistics.fairness([5, 5, 5]), { jain: 1, min: 1, max: 1 })
  })

  it("is 1/n if one has all", () => {
    assert.deepStrictEqual(statistics.fairness([0, 12, 0, 0]), { jain: 0.25, min: 0, max: 4 })
  })

  it("is nothing if there are no acquisitions", () => {
    assert.deepStrictEqual(statistics.fairness([0, 0]), { jain: null, min: null, max: null })
  })
})
