import { assert, describe, it } from "@effect/vitest"
import * as Histogram from "../../bench/histogram.ts"

const of = (micros: Iterable<number>): Histogram.Histogram => {
  const histogram = Histogram.make()
  for (const value of micros) Histogram.add(histogram, BigInt(value) * 1000n)
  return histogram
}

describe("Histogram", () => {
  it("has no percentiles where nothing was counted", () => {
    assert.deepStrictEqual(Histogram.percentiles(Histogram.make()), { p50: null, p95: null, p99: null, max: null })
  })

  it("is exact for short durations", () => {
    assert.deepStrictEqual(Histogram.percentiles(of(Array.from({ length: 100 }, (_, index) => index + 1))), {
      p50: 0.05,
      p95: 0.095,
      p99: 0.099,
      max: 0.1
    })
  })

  it("is at most 0.8 percent off for longer ones, and exact in the largest", () => {
    for (let micros = 128; micros < 2 ** 31; micros = Math.ceil(micros * 1.37)) {
      const { max, p50 } = Histogram.percentiles(of([micros, micros, 2 ** 31 - 1]))
      assert.closeTo(p50! * 1000, micros, micros * 0.008)
      assert.strictEqual(max, (2 ** 31 - 1) / 1000)
    }
  })

  it("keeps the order at the borders of its buckets", () => {
    const borders = [126, 127, 128, 129, 130, 254, 255, 256, 258, 511, 512, 516]
    const medians = borders.map((micros) => Histogram.percentiles(of([micros, micros, 1e6])).p50!)
    assert.deepStrictEqual(
      medians,
      medians.toSorted((a, b) => a - b)
    )
  })

  it("takes any duration", () => {
    const histogram = Histogram.make()
    Histogram.add(histogram, -5n)
    Histogram.add(histogram, 10n ** 18n)
    assert.deepStrictEqual(Histogram.percentiles(histogram).max, (2 ** 31 - 1) / 1000)
  })
})
