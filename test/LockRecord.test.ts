import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as LockRecord from "../src/LockRecord.ts"

const key = "dexidp.com/resource-lock"
const lease = { holderId: "pod-1/uuid/1", expiry: "2026-11-24T10:20:00Z" }
const leaseIn = (annotations: Readonly<Record<string, string>>) =>
  LockRecord.leaseOf(LockRecord.fromAnnotations(key, annotations))

describe("LockRecord", () => {
  it("reads no annotation as no lock", () => {
    assert.deepStrictEqual(LockRecord.fromAnnotations(key, { other: "x" }), { _tag: "Leases", leases: [] })
  })

  it("reads Dex's lock, which has no holder ID", () => {
    assert.deepStrictEqual(LockRecord.fromAnnotations(key, { [key]: "2026-11-24T11:20:00+01:00" }), {
      _tag: "Leases",
      leases: [{ expiry: "2026-11-24T11:20:00+01:00", expiresAt: 1_795_515_600_000, holderId: undefined }]
    })
  })

  it("reads what it writes", () => {
    assert.deepStrictEqual(LockRecord.fromAnnotations(key, LockRecord.toAnnotations(key, lease)), {
      _tag: "Leases",
      leases: [{ expiry: lease.expiry, expiresAt: 1_795_515_600_000, holderId: lease.holderId }]
    })
  })

  it("ignores a holder ID that an earlier lock left behind", () => {
    const left = { ...LockRecord.toAnnotations(key, lease), [key]: "2026-11-24T10:20:07Z" }
    assert.propertyVal(leaseIn(left), "holderId", undefined)
  })

  it("calls a value malformed that Go cannot parse, also the empty string", () => {
    for (const value of ["", "soon", "2026-11-24", "1764000000"]) {
      assert.deepStrictEqual(LockRecord.fromAnnotations(key, { [key]: value }), {
        _tag: "Malformed",
        key,
        value,
        leases: []
      })
    }
  })

  it("rounds expiries up, never down", () => {
    assert.strictEqual(LockRecord.expiryAt(1_795_515_600_000), "2026-11-24T10:20:00Z")
    assert.strictEqual(LockRecord.expiryAt(1_795_515_600_001), "2026-11-24T10:20:01Z")
    assert.propertyVal(leaseIn({ [key]: "2026-11-24T10:20:00.000000001Z" }), "expiresAt", 1_795_515_600_001)
  })

  it.prop("reads back any holder ID", [Schema.String], ([holder]) => {
    const annotations = LockRecord.toAnnotations(key, { ...lease, holderId: holder })
    assert.propertyVal(leaseIn(annotations), "holderId", holder)
  })

  it.prop("reads any annotations without failing", [Schema.String, Schema.String], ([expiry, holder]) => {
    const record = LockRecord.fromAnnotations(key, { [key]: expiry, [LockRecord.holderKey(key)]: holder })
    assert.include(["Malformed", "Leases"], record._tag)
  })
})
