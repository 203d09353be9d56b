import { assert, describe, it } from "@effect/vitest"
import * as holding from "../../../src/internal/protocol/holding.ts"
import * as LockKind from "../../../src/LockKind.ts"
import * as LockRecord from "../../../src/LockRecord.ts"
import * as PermitProtocol from "../../../src/PermitProtocol.ts"
import { maxDrift } from "../../../src/internal/time/clockReading.ts"

const at = 1_795_515_600_000
const now = { clock: { monotonic: 0, wall: at }, server: { earliest: at, latest: at } }
const kind = LockKind.semaphore("example.com/lock", 2) as PermitProtocol.PermitKind
const holderId = "pod-a/aaaaaaaaaaaa.1"
const lease = (seconds: number, place: string) => ({
  holderId,
  permits: 1,
  place,
  expiry: LockRecord.expiryAt(at + seconds * 1000)
})
const objectWith = (found: ReturnType<typeof lease>) => ({
  uid: "u",
  resourceVersion: "60",
  annotations: PermitProtocol.taking(kind, found),
  labels: {}
})

describe("a holder of permits whose renewal is refused", () => {
  const terms = { kind, holderId, ttl: 10_000, renewEvery: 3000, renewDeadline: Number.POSITIVE_INFINITY }
  const grant = {
    lease: lease(10, "50"),
    issuedAt: now.clock,
    validFor: 10_000,
    tookOverFrom: undefined,
    displaced: 0,
    snapshot: objectWith(lease(10, "50"))
  }
  const [state, renewal] = holding.planRenewal(holding.begin(grant, terms), terms, now)
  const finds = (found: ReturnType<typeof lease>) =>
    holding.onAnswer(state, terms, renewal, { _tag: "Found", snapshot: objectWith(found) }, 3000, now)

  it("goes on with its lease if a late write of its acquisition has changed the expiry", () => {
    const [after, next] = finds(lease(7, "50"))
    assert.strictEqual(next._tag, "Retry")
    assert.deepStrictEqual(after.lease, lease(7, "50"))
  })

  it("has lost its permits if its lease was removed, and a late join has added it at another place", () => {
    assert.strictEqual(finds(lease(10, "55"))[1]._tag, "Lost")
  })
})

describe("a holder whose renewals get no answer", () => {
  const exclusive = LockKind.exclusive("example.com/lock")
  const terms = { kind: exclusive, holderId, ttl: 10_000, renewEvery: 3000, renewDeadline: Number.POSITIVE_INFINITY }
  const nowAt = (seconds: number) => {
    const wall = at + seconds * 1000
    return { clock: { monotonic: seconds * 1000, wall }, server: { earliest: wall, latest: wall } }
  }
  const leaseUntil = (seconds: number) => ({ holderId, expiry: LockRecord.expiryAt(at + seconds * 1000) })
  const objectUntil = (seconds: number) => ({
    uid: "u",
    resourceVersion: "60",
    annotations: exclusive.encode(leaseUntil(seconds)) as Record<string, string>,
    labels: {}
  })
  const begun = holding.begin(
    {
      lease: leaseUntil(10),
      issuedAt: now.clock,
      validFor: 10_000,
      tookOverFrom: undefined,
      displaced: 0,
      snapshot: objectUntil(10)
    },
    terms
  )
  const [once] = holding.planRenewal(begun, terms, nowAt(1))
  const [state] = holding.planRenewal(once, terms, nowAt(2))
  const finds = (state: holding.State, seconds: number) =>
    holding.onReading(state, terms, { _tag: "Found", snapshot: objectUntil(seconds) }, nowAt(3))

  it("has each lease for its own that it may have written, in whatever order it finds them", () => {
    let last = state
    for (const seconds of [12, 10, 11, 12, 10]) {
      const [after, next] = finds(last, seconds)
      assert.strictEqual(next._tag, "Retry")
      assert.deepStrictEqual(after.lease, leaseUntil(seconds))
      last = after
    }
    assert.strictEqual(finds(last, 13)[1]._tag, "Lost")
  })
})

describe("a holder whose clock is slow", () => {
  it("does not rely on its lease any more when a server that is ahead ends it for another process", () => {
    for (const ttl of [3000, 10_000, 60_000]) {
      const state = holding.begin(
        {
          lease: lease(ttl / 1000, "50"),
          issuedAt: now.clock,
          validFor: ttl,
          tookOverFrom: undefined,
          displaced: 0,
          snapshot: objectWith(lease(ttl / 1000, "50"))
        },
        { renewDeadline: Number.POSITIVE_INFINITY }
      )
      const endsForOthers = ttl * (1 - maxDrift)
      const seen = endsForOthers / (1 + maxDrift)
      assert.isAtMost(holding.remaining(state, { monotonic: seen, wall: at + seen }), 0)
    }
  })
})
