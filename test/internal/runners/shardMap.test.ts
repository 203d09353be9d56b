import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as shardMap from "../../../src/internal/runners/shardMap.ts"
import { all } from "../../utils/runners.ts"

const session = (lease: string, incarnation = "web/1") => `jobs/${lease} 4f1c-2b ${incarnation}`
const [a, b, c] = [session("s-1"), session("s-2"), session("s-3")] as const
const nobody = () => false
const plain = (holders: shardMap.Holders) =>
  Object.fromEntries(Array.from(holders).map(([session, shards]) => [session, Array.from(shards)]))
const holders = (entries: Readonly<Record<string, ReadonlyArray<number>>>): shardMap.Holders =>
  new Map(Object.entries(entries).map(([session, shards]) => [session, new Set(shards)]))

describe("the map of shards", () => {
  it("is written as ranges, and read again", () => {
    const map = holders({ [a]: [3, 1, 2, 7], [b]: [5], [c]: [] })
    const data = shardMap.encode(map)
    assert.deepStrictEqual(data, { "s-1": "4f1c-2b web/1: 1-3 7", "s-2": "4f1c-2b web/1: 5" })
    assert.deepStrictEqual(plain(Result.getOrThrow(shardMap.decode("jobs", data))), { [a]: [1, 2, 3, 7], [b]: [5] })
    assert.strictEqual(Result.getOrThrow(shardMap.decode("jobs", {})).size, 0)
  })

  it("is small for many shards and many runners", () => {
    const scattered = Array.from(
      { length: 300 },
      (_, index) => [session(`orders-session-${index}`), [index * 7]] as const
    )
    const size = JSON.stringify(shardMap.encode(holders(Object.fromEntries(scattered)))).length
    // A ConfigMap has room for a million.
    assert.isBelow(size, 20_000)
  })

  for (const [why, data] of [
    ["no shards", { "s-1": "4f1c-2b web/1: " }],
    ["no session", { "s-1": "1-3" }],
    ["a range that has no end", { "s-1": "4f1c-2b web/1: 1-" }],
    ["a range that is absurd", { "s-1": "4f1c-2b web/1: 1-999999999" }],
    ["a shard twice", { "s-1": "4f1c-2b web/1: 1-3", "s-2": "4f1c-2b web/1: 3" }]
  ] as const) {
    it(`is refused with ${why}`, () => assert.isTrue(Result.isFailure(shardMap.decode("jobs", data))))
  }

  it("gives a session what is free, and keeps what it has", () => {
    const map = holders({ [a]: [1, 2], [b]: [3] })
    assert.deepStrictEqual(plain(shardMap.acquire(map, a, new Set([2, 3, 4]), nobody)), { [b]: [3], [a]: [1, 2, 4] })
    assert.deepStrictEqual(shardMap.othersWith(map, a, new Set([2, 3, 4])), [b])
    assert.deepStrictEqual(shardMap.othersWith(map, a, new Set([4])), [])
  })

  it("frees whatever a session held that has ended", () => {
    const map = holders({ [a]: [1], [b]: [2, 3], [c]: [4] })
    const next = shardMap.acquire(map, a, new Set([2, 4]), (session) => session === b)
    assert.deepStrictEqual(plain(next), { [c]: [4], [a]: [1, 2] })
    // A later session on the same Lease is a proof, too.
    const reused = session("s-2", "web/2")
    assert.deepStrictEqual(plain(shardMap.acquire(map, reused, new Set([2]), nobody)), {
      [a]: [1],
      [c]: [4],
      [reused]: [2]
    })
  })

  it("releases only what is the session's", () => {
    const map = holders({ [a]: all(3), [b]: [4] })
    assert.deepStrictEqual(plain(shardMap.release(map, a, new Set([2, 4]))), { [a]: [1, 3], [b]: [4] })
    assert.strictEqual(shardMap.release(map, c, new Set([1])), map)
  })
})
