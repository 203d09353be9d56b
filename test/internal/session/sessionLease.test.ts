/** What a Lease says of a session. */
import { assert, describe, it } from "@effect/vitest"
import type { Content } from "../../../src/ObjectStore.ts"
import * as sessionLease from "../../../src/internal/session/sessionLease.ts"

const reference: sessionLease.SessionReference = {
  namespace: "jobs",
  name: "kubelock-session-3",
  uid: "6f0a3c1e-0001",
  incarnation: "pod-a/0123456789ab.1"
}

const lease = (fields: Content = {}, uid = reference.uid) => ({
  uid,
  content: {
    spec: {
      holderIdentity: reference.incarnation,
      leaseDurationSeconds: 10,
      renewTime: "2026-11-24T10:20:00.000000Z",
      ...fields
    }
  }
})

const end = Date.parse("2026-11-24T10:20:10Z")

const at = (earliest: number, latest = earliest) => ({ earliest, latest })

const ended: sessionLease.Standing = { _tag: "Ended" }
const lives: sessionLease.Standing = { _tag: "Lives", until: end }

describe("a session", () => {
  it("lives until its duration after the last renewal has passed on the server's clock", () => {
    assert.deepStrictEqual(sessionLease.standing(reference, lease(), at(end - 5000)), lives)
    assert.deepStrictEqual(sessionLease.standing(reference, lease(), at(end)), lives)
    assert.deepStrictEqual(sessionLease.standing(reference, lease(), at(end + 1)), { _tag: "Expired" })
  })

  it("is not expired for as long as the server's clock might not have passed its end", () => {
    assert.deepStrictEqual(sessionLease.standing(reference, lease(), at(end, end + 3_600_000)), lives)
    assert.deepStrictEqual(sessionLease.standing(reference, lease(), at(Number.NEGATIVE_INFINITY, Infinity)), lives)
  })

  it("has ended if its Lease is gone, another one, held by another incarnation, or by nobody", () => {
    const now = at(end - 5000)
    assert.deepStrictEqual(sessionLease.standing(reference, undefined, now), ended)
    assert.deepStrictEqual(sessionLease.standing(reference, lease({}, "another"), now), ended)
    assert.deepStrictEqual(
      sessionLease.standing(reference, lease({ holderIdentity: "pod-a/0123456789ab.2" }), now),
      ended
    )
    assert.deepStrictEqual(sessionLease.standing(reference, lease({ holderIdentity: "" }), now), ended)
    assert.deepStrictEqual(sessionLease.standing(reference, { uid: reference.uid, content: {} }, now), ended)
  })

  it("lives on if nobody can tell when it would expire", () => {
    const forever: sessionLease.Standing = { _tag: "Lives", until: Number.POSITIVE_INFINITY }
    assert.deepStrictEqual(sessionLease.standing(reference, lease({ renewTime: "soon" }), at(end + 1)), forever)
    assert.deepStrictEqual(sessionLease.standing(reference, lease({ leaseDurationSeconds: 0 }), at(end + 1)), forever)
  })
})

describe("a reference", () => {
  it("is read as it was written", () => {
    assert.strictEqual(sessionLease.format(reference), "jobs/kubelock-session-3 6f0a3c1e-0001 pod-a/0123456789ab.1")
    assert.deepStrictEqual(sessionLease.parse(sessionLease.format(reference)), reference)
  })

  it("is nothing else", () => {
    for (const text of ["", "jobs", "jobs/a b c", "jobs/a  pod/0.1", `${sessionLease.format(reference)} `]) {
      assert.isUndefined(sessionLease.parse(text), text)
    }
  })
})

describe("what is broken of a session", () => {
  it("stands on its Lease, as much as there is room for", () => {
    assert.deepStrictEqual(sessionLease.brokenOn({ annotations: {} }), [])
    let annotations: Record<string, string> = {}
    for (let index = 0; index < sessionLease.maxBroken; index++) {
      annotations = sessionLease.breaking({ annotations }, `us/0a1b2c3d4e5f.${index}`) as Record<string, string>
    }
    const broken = sessionLease.brokenOn({ annotations })
    assert.lengthOf(broken, sessionLease.maxBroken)
    assert.deepStrictEqual(broken.slice(0, 2), ["us/0a1b2c3d4e5f.0", "us/0a1b2c3d4e5f.1"])
    assert.isUndefined(sessionLease.breaking({ annotations }, "us/0a1b2c3d4e5f.x"))
  })

  it("is taken off as it was met, and not with more", () => {
    const met = { annotations: { [sessionLease.brokenKey]: "us/0a1b2c3d4e5f.1" } }
    const { annotations, expect } = sessionLease.clearing(met)
    assert.deepStrictEqual([expect, annotations], [met, { [sessionLease.brokenKey]: null }])
  })
})
