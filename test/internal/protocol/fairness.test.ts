import { assert, describe, it } from "@effect/vitest"
import * as fairness from "../../../src/internal/protocol/fairness.ts"

const released = (options: { since: number; last: number; length?: number }): fairness.SpentBudget => ({
  since: options.since,
  releasedAt: options.last,
  length: options.length ?? 100
})

describe("a fairness budget", () => {
  it("lasts a second if no other process came before, is short if one came, and shorter beside Dex", () => {
    assert.deepStrictEqual(fairness.nextBudget(undefined, 5, { sharedWithDex: true, contended: false }), {
      since: 5,
      length: 1000
    })
    assert.deepStrictEqual(fairness.nextBudget(undefined, 5, { sharedWithDex: false, contended: true }), {
      since: 5,
      length: 200
    })
    assert.deepStrictEqual(fairness.nextBudget(undefined, 5, { sharedWithDex: true, contended: true }), {
      since: 5,
      length: 100
    })
  })

  it("continues across releases", () => {
    const before = released({ since: 0, last: 50 })
    assert.strictEqual(fairness.pauseForDex(before, 60), 0)
    assert.deepInclude(fairness.nextBudget(before, 60, { sharedWithDex: true, contended: false }), {
      since: 0,
      length: 100
    })
    assert.isTrue(fairness.hasBudget(before, 99))
  })

  it("ends with a gap, minus the time that has passed since the release", () => {
    const before = released({ since: 0, last: 100 })
    assert.isFalse(fairness.hasBudget(before, 100))
    assert.strictEqual(fairness.pauseForDex(before, 100), fairness.dexGap)
    assert.strictEqual(fairness.pauseForDex(before, 120), fairness.dexGap - 20)
    assert.strictEqual(fairness.pauseForDex(before, 10_000), 0)
  })

  it("doubles after a gap in which no other process came, up to two seconds", () => {
    const next = (length: number) =>
      fairness.nextBudget(released({ since: 0, last: 100, length }), 100 + fairness.dexGap, {
        sharedWithDex: true,
        contended: false
      })
    assert.deepStrictEqual(next(100), { since: 100 + fairness.dexGap, length: 200 })
    assert.deepStrictEqual(next(1600), { since: 100 + fairness.dexGap, length: 2000 })
  })

  it("needs no gap if Dex does not share the object", () => {
    const next = (now: number) =>
      fairness.nextBudget(released({ since: 0, last: 90 }), now, { sharedWithDex: false, contended: false })
    assert.deepInclude(next(99), { since: 0, length: 100 })
    assert.deepStrictEqual(next(100), { since: 100, length: 200 })
  })

  it("is short again after another process came", () => {
    const before = released({ since: 0, last: 2000, length: 1000 })
    assert.deepStrictEqual(fairness.nextBudget(before, 2150, { sharedWithDex: true, contended: true }), {
      since: 2150,
      length: 100
    })
    assert.deepStrictEqual(fairness.nextBudget(before, 2001, { sharedWithDex: true, contended: true }), {
      since: 2001,
      length: 100
    })
  })
})
