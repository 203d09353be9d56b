import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as LockProtocol from "../src/LockProtocol.ts"
import * as LockRecord from "../src/LockRecord.ts"

const key = "example.com/lock"
const expiry = "2026-11-24T10:20:00Z"
const at = 1_795_515_600_000
const exactly = (millis: number) => ({ earliest: millis, latest: millis })
const me = { holder: "me", ttl: 10_000 }
const record = (annotations: Record<string, string>) => LockRecord.fromAnnotations(key, annotations)
const dexLock = record({ [key]: expiry })
const lockOf = (holder: string) => record(LockRecord.toAnnotations(key, { holder, expiry }))

describe("LockProtocol.observe", () => {
  const cases: ReadonlyArray<readonly [string, LockRecord.LockRecord, number, LockProtocol.LockState]> = [
    ["no annotation", record({}), at, { _tag: "Free" }],
    ["before the expiry", dexLock, at - 1, { _tag: "Held", until: at, expiry }],
    ["at the expiry itself", dexLock, at, { _tag: "Held", until: at, expiry }],
    ["strictly after the expiry", dexLock, at + 1, { _tag: "Expired", since: at, expiry }],
    ["a lock with a holder", lockOf("a"), at, { _tag: "Held", until: at, expiry, holder: "a" }],
    ["what Go cannot read", record({ [key]: "soon" }), at, { _tag: "Malformed", value: "soon" }]
  ]
  it.each(cases)("%s", (_, record, now, expected) => {
    assert.deepStrictEqual(LockProtocol.observe(record, exactly(now)), expected)
  })

  it("does not call expired what might still be valid by the server's clock", () => {
    assert.strictEqual(LockProtocol.observe(dexLock, { earliest: at, latest: at + 60_000 })._tag, "Held")
    assert.strictEqual(LockProtocol.observe(dexLock, { earliest: at + 1, latest: at + 60_000 })._tag, "Expired")
  })
})

describe("LockProtocol.decide", () => {
  it("acquires a free lock", () => {
    assert.deepStrictEqual(LockProtocol.decide(record({}), exactly(at), me), {
      _tag: "Acquire",
      lease: { holder: "me", expiry: "2026-11-24T10:20:10Z" },
      broken: undefined
    })
  })

  it("breaks an expired lock", () => {
    assert.deepInclude(LockProtocol.decide(dexLock, exactly(at + 1), me), { _tag: "Acquire", broken: { expiry } })
  })

  it("waits for a held lock, whoever holds it", () => {
    assert.deepStrictEqual(LockProtocol.decide(dexLock, exactly(at), me), { _tag: "Wait", expiry })
    assert.deepStrictEqual(LockProtocol.decide(lockOf("you"), exactly(at), me), { _tag: "Wait", expiry, holder: "you" })
  })

  it("does not wait out a lock of its own", () => {
    assert.deepInclude(LockProtocol.decide(lockOf("me"), exactly(at), me), { _tag: "Acquire", broken: undefined })
  })

  it("leaves a malformed lock alone", () => {
    assert.deepStrictEqual(LockProtocol.decide(record({ [key]: "soon" }), exactly(at), me), {
      _tag: "Malformed",
      value: "soon"
    })
  })
})

describe("LockProtocol.nextLease", () => {
  const Millis = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 4_000_000_000_000 }))
  const Ttl = Schema.Int.check(Schema.isBetween({ minimum: 1000, maximum: 86_400_000 }))

  it.prop("never ends before the TTL has passed on the server's clock", [Millis, Millis, Ttl], ([a, b, ttl]) => {
    const now = { earliest: Math.min(a, b), latest: Math.max(a, b) }
    const lease = LockProtocol.nextLease(now, { holder: "me", ttl })
    const written = record(LockRecord.toAnnotations(key, lease))
    assert.strictEqual(LockProtocol.observe(written, exactly(now.latest + ttl))._tag, "Held")
    assert.strictEqual(LockProtocol.observe(written, exactly(now.latest + ttl + 1000))._tag, "Expired")
  })
})

describe("LockProtocol.fate", () => {
  const cases: ReadonlyArray<readonly [string, LockRecord.LockRecord, LockProtocol.Fate]> = [
    ["our lease stands", lockOf("me"), { _tag: "Ours", expiry }],
    ["another's lease stands", lockOf("you"), { _tag: "Broken", expiry, holder: "you" }],
    ["Dex's lease stands", dexLock, { _tag: "Broken", expiry }],
    ["no lease stands", record({}), { _tag: "Wiped" }],
    ["somebody wrote nonsense", record({ [key]: "soon" }), { _tag: "Broken", expiry: "soon" }]
  ]
  it.each(cases)("%s", (_, record, expected) => {
    assert.deepStrictEqual(LockProtocol.fate(record, "me"), expected)
  })
})
