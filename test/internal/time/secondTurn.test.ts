import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as secondTurn from "../../../src/internal/time/secondTurn.ts"
import * as serverClock from "../../../src/internal/time/serverClock.ts"

const instant = 1_795_515_610_000

interface World {
  /** By how much the server's clock is behind the instant when the first answer is asked for. */
  readonly ahead: number
  readonly roundTrip: number
  /** By how much faster the server's clock runs. */
  readonly drift: number
}

/** Asks until the instant is known to have passed: how often, and by how much the server's clock had then passed it. */
const follow = ({ ahead, drift, roundTrip }: World) => {
  const timeAt = (local: number) => instant - ahead + local * (1 + drift)
  const at = (local: number) => ({ monotonic: local, wall: local })
  let clock = serverClock.initial
  let local = 0
  let asked = 0
  const ask = () => {
    const date = Math.floor(timeAt(local + roundTrip / 2) / 1000) * 1000
    clock = serverClock.learn(clock, { sent: at(local), received: at(local + roundTrip), date })
    local += Math.max(1, roundTrip)
    asked++
  }
  ask()
  while (serverClock.at(clock, at(local)).earliest <= instant) {
    local += secondTurn.untilNextAsk(serverClock.at(clock, at(local)), instant) ?? 1
    ask()
  }
  return { asked, late: timeAt(local) - instant }
}

describe("secondTurn", () => {
  const RoundTrip = Schema.Finite.check(Schema.isBetween({ minimum: 0.2, maximum: 5 }))
  const Ahead = Schema.Finite.check(Schema.isBetween({ minimum: 3500, maximum: 20_000 }))
  const Drift = Schema.Finite.check(Schema.isBetween({ minimum: -0.002, maximum: 0.002 }))

  it.prop(
    "tells of an instant within three round trips and ten milliseconds, after forty questions at most",
    [Ahead, RoundTrip, Drift],
    ([ahead, roundTrip, drift]) => {
      const { asked, late } = follow({ ahead, roundTrip, drift })
      assert.isAbove(late, 0)
      assert.isAtMost(late, 3 * roundTrip + 10)
      assert.isAtMost(asked, 40)
    }
  )

  it("tells of it within a millisecond and a half, after some twenty-five questions, in the middle of all cases", () => {
    const middle = (values: ReadonlyArray<number>) => values.toSorted((a, b) => a - b)[values.length / 2]!
    const found = Array.from({ length: 1000 }, (_, index) =>
      follow({ ahead: 4000 + index, roundTrip: 1, drift: 0.0001 })
    )
    assert.isAtMost(middle(found.map(({ late }) => late)), 1.5)
    assert.isAtMost(middle(found.map(({ asked }) => asked)), 25)
  })

  it("asks for nothing long before the instant, and for nothing after it", () => {
    const time = (earliest: number, latest = earliest + 1000) => ({ earliest, latest })
    const wait = secondTurn.untilNextAsk(time(instant - 10_000), instant)!
    assert.isAbove(wait, 10_000 - 1000 - secondTurn.askAhead)
    assert.isUndefined(secondTurn.untilNextAsk(time(instant + 1), instant))
  })

  it("asks for nothing if the time is known exactly, or so badly that no question helps", () => {
    const known = (width: number) => ({ earliest: instant - 500 - width, latest: instant - 500 })
    assert.isUndefined(secondTurn.untilNextAsk(known(0), instant))
    assert.isUndefined(secondTurn.untilNextAsk(known(secondTurn.widestWindow + 1), instant))
    assert.isUndefined(secondTurn.untilNextAsk(serverClock.unknown, instant))
  })
})
