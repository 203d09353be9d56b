/** Times that two threads share. They are on the clocks of the machine. */
import { afterEach, assert, describe, it, vi } from "@effect/vitest"
import { performance } from "node:perf_hooks"
import * as sharedTimes from "../../../src/internal/sessionThread/sharedTimes.ts"

const passes = (millis: number) => {
  const until = performance.now() + millis
  while (performance.now() < until);
}

// From now on the wall clock stands still at this time, and the monotonic clock goes on.
const wallClockIsAt = (millis: number) => {
  vi.spyOn(Date, "now").mockReturnValue(millis)
}

afterEach(() => {
  vi.restoreAllMocks()
})

describe("a session in memory that two threads share", () => {
  it("is relied on for as long as was told, until it ends", () => {
    const memory = sharedTimes.memory()
    assert.isFalse(sharedTimes.validity(memory).isValid())
    sharedTimes.validity(memory).relyFor(() => 3_600_000)
    assert.isTrue(sharedTimes.validity(memory).isValid())
    sharedTimes.validity(memory).end()
    assert.isFalse(sharedTimes.validity(memory).isValid())
  })

  it("is not relied on for the time for which the thread that tells was suspended", () => {
    const { isValid, relyFor } = sharedTimes.validity(sharedTimes.memory())
    relyFor(() => {
      passes(20)
      return 10
    })
    assert.isFalse(isValid())
  })

  it("is not relied on past its end by either clock: a machine sleeps, and a wall clock is set back", () => {
    const { isValid, relyFor } = sharedTimes.validity(sharedTimes.memory())
    const now = Date.now()
    relyFor(() => 3_600_000)
    wallClockIsAt(now + 3_700_000)
    assert.isFalse(isValid())
    wallClockIsAt(now)
    relyFor(() => 10)
    wallClockIsAt(now - 3_600_000)
    passes(20)
    assert.isFalse(isValid())
  })
})
