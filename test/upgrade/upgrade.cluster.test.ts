/** A rolling upgrade, for some seconds. */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { describeUpgrade, run } from "./upgrade.ts"

describeUpgrade(() => {
  it.live(
    "lets both versions have locks of each kind in turn, and no promise is broken",
    () =>
      Effect.gen(function* () {
        const { logs, problems } = yield* run(10, 0)
        assert.deepStrictEqual(problems, [], logs)
      }),
    // It builds two packages, and waits for seven kinds of locks.
    900_000
  )
})
