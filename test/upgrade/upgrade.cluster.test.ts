/** A rolling upgrade, until each kind of lock has shown what it must. */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { describeUpgrade, run } from "./upgrade.ts"

describeUpgrade(() => {
  it.live(
    "lets both versions have locks of each kind in turn, and no promise is broken",
    () =>
      Effect.gen(function* () {
        const { logs, problems } = yield* run({ seconds: 0, seed: 0, packed: false, hurries: true })
        assert.deepStrictEqual(problems, [], logs)
      }),
    // It waits for eight kinds of locks.
    900_000
  )
})
