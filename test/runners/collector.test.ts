import { assert, describe, it } from "@effect/vitest"
import { metersSince, overlaps, type Reading } from "./collector.ts"

const reading = (at: number, reader: string, meter = "m"): Reading => ({
  meter,
  runner: `${reader}:1`,
  reader,
  at: BigInt(at)
})

describe("the collector", () => {
  it("finds a reader that goes on after another one has begun, in whatever order the readings come", () => {
    const handedOver = [reading(1, "a"), reading(2, "a"), reading(3, "b"), reading(2, "c", "n"), reading(4, "b")]
    assert.deepStrictEqual(overlaps(handedOver), [])
    const late = reading(5, "a")
    assert.deepStrictEqual(overlaps([late, ...handedOver]), [late])
  })

  it("counts meters that are read", () => {
    const readings = [reading(1, "a"), reading(3, "b"), reading(4, "b"), reading(5, "a", "n")]
    assert.strictEqual(
      metersSince(readings, 2n, () => true),
      2
    )
    assert.strictEqual(
      metersSince(readings, 2n, (runner) => runner === "b:1"),
      1
    )
  })
})
