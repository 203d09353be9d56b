import { assert, describe, it } from "@effect/vitest"
import * as leaseSpec from "../../../src/internal/election/leaseSpec.ts"
import * as sightings from "../../../src/internal/election/sightings.ts"
import { maxDrift } from "../../../src/internal/time/clockReading.ts"

const spec = leaseSpec.fromContent({
  spec: { holderIdentity: "go", leaseDurationSeconds: 15, renewTime: "2026-11-24T10:20:00.000000Z" }
})
const lasts = 15_000 * (1 + maxDrift)

describe("a record that was seen unchanged", () => {
  it("lasts for its duration, and for as long as its holder's clock may be slower than ours", () => {
    const { left } = sightings.make(10)
    assert.strictEqual(left("id", "u", spec, { monotonic: 0, wall: 0 }), lasts)
    assert.isAbove(left("id", "u", spec, { monotonic: 15_000, wall: 15_000 }), 0)
  })

  it("goes by the time that has passed for certain, whichever clock was set or stood still", () => {
    for (const later of [
      { monotonic: 1000, wall: 3_600_000 },
      { monotonic: 3_600_000, wall: 1000 }
    ]) {
      const { left } = sightings.make(10)
      left("id", "u", spec, { monotonic: 0, wall: 0 })
      assert.isAbove(left("id", "u", spec, later), 13_000)
    }
  })

  it("begins anew if anything in it has changed, or if it is that of another Lease", () => {
    const { left } = sightings.make(10)
    const at = (monotonic: number) => ({ monotonic, wall: monotonic })
    left("id", "u", spec, at(0))
    assert.strictEqual(left("id", "u", { ...spec, renewTime: "2026-11-24T10:20:02.000000Z" }, at(2000)), lasts)
    assert.strictEqual(left("id", "v", spec, at(4000)), lasts)
    assert.isBelow(left("id", "v", spec, at(6000)), lasts)
  })
})
