import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as serverClock from "../../../src/internal/time/serverClock.ts"

const at = (monotonic: number, wall = monotonic) => ({ monotonic, wall })
const sample = (sent: number, received: number, serverTime: number) => ({
  sent: at(sent),
  received: at(received),
  date: Math.floor(serverTime / 1000) * 1000
})
const learnAll = (samples: ReadonlyArray<serverClock.Sample>) => samples.reduce(serverClock.learn, serverClock.initial)

describe("serverClock", () => {
  it("knows the time to one second and one round trip after one answer", () => {
    const clock = learnAll([sample(0, 40, 100_500)])
    assert.deepStrictEqual(serverClock.at(clock, at(40)), { earliest: 100_000.001, latest: 101_040.2 })
  })

  it("knows the time to about one round trip after many answers", () => {
    const offset = 100_500
    const samples = Array.from({ length: 100 }, (_, i) => sample(i * 97, i * 97 + 4, offset + i * 97 + 2))
    const now = 99 * 97 + 4
    const { earliest, latest } = serverClock.at(learnAll(samples), at(now))
    assert.isAtMost(earliest, offset + now)
    assert.isAtLeast(latest, offset + now)
    assert.isAtMost(latest - earliest, 100)
  })

  it("knows less, the longer ago the last answer is", () => {
    const clock = learnAll([sample(0, 0, 100_000)])
    const { earliest, latest } = serverClock.at(clock, at(100_000))
    assert.strictEqual(earliest, 100_000.001 + 99_500)
    assert.strictEqual(latest, 101_000 + 100_500)
  })

  it("trusts neither clock alone after a sleep of the machine, because an hour may have passed, or nothing", () => {
    const clock = learnAll([sample(0, 0, 100_000)])
    const { earliest, latest } = serverClock.at(clock, { monotonic: 10, wall: 3_600_000 })
    assert.isAtMost(earliest, 100_010)
    assert.isAtLeast(latest, 100_000 + 3_600_000)
    const awake = serverClock.learn(clock, {
      sent: { monotonic: 20, wall: 3_600_010 },
      received: { monotonic: 30, wall: 3_600_020 },
      date: 3_700_000
    })
    assert.deepStrictEqual(serverClock.at(awake, { monotonic: 30, wall: 3_600_020 }), {
      earliest: 3_700_000.001,
      latest: 3_701_010.05
    })
  })

  it("is unknown before the first answer", () => {
    assert.deepStrictEqual(serverClock.at(serverClock.initial, at(0)), serverClock.unknown)
  })

  it("does not trust one absurd answer, first or later, and trusts two that agree", () => {
    const hour = 3_600_000
    const first = learnAll([sample(0, 0, 5 * hour)])
    assert.deepStrictEqual(serverClock.at(first, at(0)), serverClock.unknown)
    const confirmed = serverClock.learn(first, sample(2000, 2000, 5 * hour + 2000))
    assert.strictEqual(serverClock.at(confirmed, at(2000)).earliest, 5 * hour + 2000.001)
    const noon = 12 * hour
    const known = learnAll([
      sample(noon, noon, noon),
      sample(noon + 5000, noon + 5000, 0),
      sample(noon + 6000, noon + 6000, noon + 6000)
    ])
    const { earliest, latest } = serverClock.at(known, at(noon + 6000))
    assert.isAtLeast(earliest, noon + 5900)
    assert.isAtMost(latest, noon + 7100)
    assert.isUndefined(known.contradiction)
  })

  it("widens if two servers contradict each other by hours, however often each of them confirms its own time", () => {
    const hour = 3_600_000
    const clock = learnAll([sample(0, 0, 0), sample(1000, 1000, 5 * hour), sample(2000, 2000, 5 * hour + 1000)])
    const { earliest, latest } = serverClock.at(clock, at(2000))
    assert.isAtMost(earliest, 2000)
    assert.isAtLeast(latest, 5 * hour + 1000)
  })

  it("widens if two servers contradict each other, and forgets that after ten minutes", () => {
    const clock = learnAll([sample(0, 0, 100_000), sample(10, 10, 105_000)])
    const { earliest, latest } = serverClock.at(clock, at(10))
    assert.isAtMost(earliest, 100_010)
    assert.isAtLeast(latest, 106_000)
    const later = serverClock.learn(clock, sample(600_020, 600_020, 705_020))
    const now = serverClock.at(later, at(600_020))
    assert.isAtMost(now.latest - now.earliest, 1100)
  })

  const Trip = Schema.Struct({
    gap: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 20_000 })),
    there: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 3000 })),
    back: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 3000 }))
  })
  const Drift = Schema.Finite.check(Schema.isBetween({ minimum: -0.002, maximum: 0.002 }))
  const Offset = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 4_000_000_000_000 }))

  it.prop(
    "never excludes the true time, on any network and at any drift within the bound",
    [Schema.Array(Trip), Drift, Offset],
    ([trips, drift, offset]) => {
      const trueTime = (local: number) => offset + local * (1 + drift)
      let local = 0
      let clock = serverClock.initial
      for (const { back, gap, there } of trips) {
        const sent = local + gap
        const received = sent + there + back
        clock = serverClock.learn(clock, sample(sent, received, trueTime(sent + there)))
        local = received
        const { earliest, latest } = serverClock.at(clock, at(received))
        assert.isAtMost(earliest, trueTime(received))
        assert.isAtLeast(latest, trueTime(received))
      }
    }
  )
})
