import { assert, describe, it } from "@effect/vitest"
import * as statistics from "./statistics.ts"

const histogramOf = (nanos: ReadonlyArray<bigint>) => {
  const histogram = statistics.histogram()
  for (const value of nanos) statistics.record(histogram, value)
  return histogram
}

describe("a histogram", () => {
  it("has no percentiles if nothing was recorded", () => {
    const none = { p50: null, p95: null, p99: null, max: null }
    assert.deepStrictEqual(statistics.percentiles(histogramOf([])), none)
  })

  it("is precise to a thousandth", () => {
    for (let micros = 1; micros < 2 ** 31; micros = Math.ceil(micros * 1.37)) {
      const nanos = BigInt(micros) * 1000n
      const { max, p50 } = statistics.percentiles(histogramOf([nanos, nanos, 2n ** 41n]))
      assert.closeTo(p50! * 1000, micros, micros * 0.001)
      assert.closeTo(max!, 2 ** 41 / 1e6, 2 ** 41 / 1e9)
    }
  })

  it("has percentiles by rank", () => {
    const { max, p50, p95, p99 } = statistics.percentiles(
      histogramOf(Array.from({ length: 100 }, (_, index) => BigInt(index + 1) * 1_000_000n))
    )
    for (const [actual, expected] of [
      [p50, 50],
      [p95, 95],
      [p99, 99],
      [max, 100]
    ] as const) {
      assert.closeTo(actual!, expected, expected / 1000)
    }
  })

  it("takes any duration", () => {
    const { max, p50 } = statistics.percentiles(histogramOf([-5n, 0n, 10n ** 15n]))
    assert.isBelow(p50!, 0.001)
    assert.closeTo(max!, 1e9, 1e6)
  })
})

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
