import { assert, describe, it } from "@effect/vitest"
import * as histogram from "../../../src/cli/bench/harness/histogram.ts"

const histogramOf = (nanos: ReadonlyArray<bigint>) => {
  const made = histogram.make()
  for (const value of nanos) histogram.record(made, value)
  return made
}

describe("a histogram", () => {
  it("has no percentiles if nothing was recorded", () => {
    const none = { p50: null, p95: null, p99: null, max: null }
    assert.deepStrictEqual(histogram.percentiles(histogramOf([])), none)
  })

  it("is precise to a thousandth", () => {
    for (let micros = 1; micros < 2 ** 31; micros = Math.ceil(micros * 1.37)) {
      const nanos = BigInt(micros) * 1000n
      const { max, p50 } = histogram.percentiles(histogramOf([nanos, nanos, 2n ** 41n]))
      assert.closeTo(p50! * 1000, micros, micros * 0.001)
      assert.closeTo(max!, 2 ** 41 / 1e6, 2 ** 41 / 1e9)
    }
  })

  it("has percentiles by rank", () => {
    const { max, p50, p95, p99 } = histogram.percentiles(
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
    const { max, p50 } = histogram.percentiles(histogramOf([-5n, 0n, 10n ** 15n]))
    assert.isBelow(p50!, 0.001)
    assert.closeTo(max!, 1e9, 1e6)
  })
})
