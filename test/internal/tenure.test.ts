import { assert, describe, it } from "@effect/vitest"
import * as tenure from "../../src/internal/tenure.ts"

const at = (millis: number) => ({ monotonic: millis, wall: millis })
const released = (options: { since: number; last: number; length?: number }): tenure.Tenure => ({
  resourceVersion: "7",
  since: at(options.since),
  last: at(options.last),
  length: options.length ?? 100
})

describe("tenure", () => {
  it("lasts a second where nobody was met, and is short where somebody was", () => {
    assert.deepStrictEqual(tenure.next(undefined, at(5), false), { since: at(5), length: 1000 })
    assert.deepStrictEqual(tenure.next(undefined, at(5), true), { since: at(5), length: 100 })
  })

  it("goes on over releases within it", () => {
    const before = released({ since: 0, last: 50 })
    assert.strictEqual(tenure.pauseBefore(before, at(60)), 0)
    assert.deepInclude(tenure.next(before, at(60), false), { since: at(0), length: 100 })
    assert.isTrue(tenure.mayGoOn(before, at(99)))
  })

  it("ends with a gap, less what has passed of it", () => {
    const before = released({ since: 0, last: 100 })
    assert.isFalse(tenure.mayGoOn(before, at(100)))
    assert.strictEqual(tenure.pauseBefore(before, at(100)), tenure.gap)
    assert.strictEqual(tenure.pauseBefore(before, at(120)), tenure.gap - 20)
    assert.strictEqual(tenure.pauseBefore(before, at(10_000)), 0)
  })

  it("is twice as long after a gap in which nobody came, up to two seconds", () => {
    const next = (length: number) => tenure.next(released({ since: 0, last: 100, length }), at(250), false)
    assert.deepStrictEqual(next(100), { since: at(250), length: 200 })
    assert.deepStrictEqual(next(1600), { since: at(250), length: 2000 })
  })

  it("is short again where somebody came", () => {
    const before = released({ since: 0, last: 2000, length: 2000 })
    assert.deepStrictEqual(tenure.next(before, at(2150), true), { since: at(2150), length: 100 })
    assert.deepStrictEqual(tenure.next(before, at(2001), true), { since: at(2001), length: 100 })
  })
})
