import { assert, describe, it } from "@effect/vitest"
import * as exclusion from "../../src/testing/internal/exclusion.ts"

const held = (start: number, end: number, token?: bigint): exclusion.Interval => ({ start, end, token })

const overlaps = (...acquisitions: ReadonlyArray<exclusion.Interval>) =>
  exclusion.check(acquisitions).overlaps.map(({ earlier, later }) => [earlier.start, later.start])

const disorder = (...acquisitions: ReadonlyArray<exclusion.Interval>) =>
  exclusion.check(acquisitions).disorder.map(({ earlier, later }) => [earlier.token, later.token])

describe("overlaps", () => {
  it("are empty if each acquisition starts after the previous one ended, in any order of the input", () => {
    assert.deepStrictEqual(overlaps(held(10, 11), held(30, 31), held(1, 2), held(20, 30)), [])
  })

  it("contain all pairs, also those of an acquisition that ends long after its neighbors", () => {
    assert.deepStrictEqual(overlaps(held(1, 100), held(2, 60), held(50, 51)), [
      [1, 2],
      [1, 50],
      [2, 50]
    ])
  })

  it("contain an acquisition that never ended", () => {
    assert.deepStrictEqual(overlaps(held(1, Number.POSITIVE_INFINITY), held(9, 10)), [[1, 9]])
  })
})

describe("disorder", () => {
  it("is empty if each token is greater than all before it", () => {
    assert.deepStrictEqual(disorder(held(3, 4, 9n), held(1, 2, 5n), held(5, 6)), [])
  })

  it("contains each token that is not greater than the greatest before it", () => {
    assert.deepStrictEqual(disorder(held(1, 2, 7n), held(3, 4, 5n), held(5, 6, 6n), held(7, 8, 7n), held(9, 10, 8n)), [
      [7n, 5n],
      [7n, 6n],
      [7n, 7n]
    ])
  })
})

describe("permits", () => {
  const has = (start: number, end: number, permits: number, token?: bigint) => ({ ...held(start, end, token), permits })
  const found = (...acquisitions: ReadonlyArray<exclusion.Interval>) => exclusion.check(acquisitions, 3)

  it("overlap only where there are more than the limit", () => {
    assert.deepStrictEqual(found(has(1, 9, 1), has(2, 9, 2), has(9, 10, 3)).overlaps, [])
    assert.lengthOf(found(has(1, 9, 1), has(2, 9, 1), has(3, 9, 2)).overlaps, 2)
  })

  it("have tokens in any order, but for those of a holder of all", () => {
    assert.deepStrictEqual(
      found(has(1, 9, 1, 5n), has(2, 9, 1, 4n), has(9, 10, 3, 6n), has(10, 11, 1, 7n)).disorder,
      []
    )
    assert.lengthOf(found(has(1, 9, 1, 5n), has(9, 10, 3, 4n)).disorder, 1)
    assert.lengthOf(found(has(1, 9, 3, 5n), has(9, 10, 1, 4n)).disorder, 1)
  })
})
