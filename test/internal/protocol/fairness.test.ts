import { assert, describe, it } from "@effect/vitest"
import * as tenure from "../../../src/internal/protocol/fairness.ts"

const released = (options: { since: number; last: number; length?: number }): tenure.Tenure => ({
  resourceVersion: "7",
  since: options.since,
  last: options.last,
  length: options.length ?? 100
})

describe("tenure", () => {
  it("lasts a second where nobody was met, and is short where somebody was", () => {
    assert.deepStrictEqual(tenure.next(undefined, 5, { besideDex: true, contended: false }), {
      since: 5,
      length: 1000
    })
    assert.deepStrictEqual(tenure.next(undefined, 5, { besideDex: true, contended: true }), {
      since: 5,
      length: 200
    })
  })

  it("goes on over releases within it", () => {
    const before = released({ since: 0, last: 50 })
    assert.strictEqual(tenure.pauseBefore(before, 60), 0)
    assert.deepInclude(tenure.next(before, 60, { besideDex: true, contended: false }), {
      since: 0,
      length: 100
    })
    assert.isTrue(tenure.mayGoOn(before, 99))
  })

  it("ends with a gap, less what has passed of it", () => {
    const before = released({ since: 0, last: 100 })
    assert.isFalse(tenure.mayGoOn(before, 100))
    assert.strictEqual(tenure.pauseBefore(before, 100), tenure.gap)
    assert.strictEqual(tenure.pauseBefore(before, 120), tenure.gap - 20)
    assert.strictEqual(tenure.pauseBefore(before, 10_000), 0)
  })

  it("is twice as long after a gap in which nobody came, up to two seconds", () => {
    const next = (length: number) =>
      tenure.next(released({ since: 0, last: 100, length }), 100 + tenure.gap, { besideDex: true, contended: false })
    assert.deepStrictEqual(next(100), { since: 100 + tenure.gap, length: 200 })
    assert.deepStrictEqual(next(1600), { since: 100 + tenure.gap, length: 2000 })
  })

  it("needs no gap where no Dex is about", () => {
    const next = (now: number) =>
      tenure.next(released({ since: 0, last: 90 }), now, { besideDex: false, contended: false })
    assert.deepInclude(next(99), { since: 0, length: 100 })
    assert.deepStrictEqual(next(100), { since: 100, length: 200 })
  })

  it("is short again where somebody came", () => {
    const before = released({ since: 0, last: 2000, length: 2000 })
    assert.deepStrictEqual(tenure.next(before, 2150, { besideDex: true, contended: true }), {
      since: 2150,
      length: 200
    })
    assert.deepStrictEqual(tenure.next(before, 2001, { besideDex: true, contended: true }), {
      since: 2001,
      length: 200
    })
  })
})
