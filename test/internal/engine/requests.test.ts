/** The time, as the machines take it: two clocks that are read one after the other. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import * as requests from "../../../src/internal/engine/requests.ts"
import * as ObjectStoreMemory from "../../../src/ObjectStoreMemory.ts"

describe("a process that is suspended while it reads the time", () => {
  for (const when of ["before", "after"] as const) {
    it.effect(`does not rely on a lease from later on than the time by which it ends: ${when} that of the server`, () =>
      Effect.gen(function* () {
        const { store } = yield* ObjectStoreMemory.make()
        const suspended = TestClock.adjust("1 minute")
        const now = when === "before" ? Effect.andThen(suspended, store.now) : Effect.tap(store.now, () => suspended)
        const { clock, server } = yield* requests.now({ ...store, now })
        assert.isAtMost(clock.wall, server.latest)
        assert.isAtMost(clock.monotonic, server.latest)
      })
    )
  }
})
