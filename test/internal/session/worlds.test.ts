/** Locks under sessions in worlds of chance. A failure names its seed. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { logged } from "../../utils/logged.ts"
import { believing, type Mutation } from "./mutations.ts"
import * as world from "./world.ts"

const quietly = (seed: number, mutation?: Mutation) =>
  Effect.gen(function* () {
    let outcome: world.Outcome | undefined
    yield* logged(Effect.map(world.run(seed, mutation), (result) => (outcome = result)))
    return outcome!
  })

describe("locks under sessions", () => {
  let acquired = 0
  let lostWithSession = 0
  for (let seed = 1; seed <= 6; seed++) {
    it.effect(`are valid for one process at a time, and all get them in the end (seed ${seed})`, () =>
      Effect.map(quietly(seed), (outcome) => {
        assert.isUndefined(outcome.broken)
        acquired += outcome.acquired
        lostWithSession += outcome.lostWithSession
      })
    )
  }

  it("are acquired and lost in these worlds", () => {
    assert.isAbove(acquired, 60)
    assert.isAbove(lostWithSession, 0)
  })
})

describe("a world finds a protocol that", () => {
  it.effect("relies on a session past its last renewal", () =>
    Effect.gen(function* () {
      for (let seed = 2; seed < 12; seed += 2) {
        const { broken = "" } = yield* quietly(seed, believing)
        if (/both have|old token/.test(broken)) return
      }
      assert.fail("nothing was found")
    })
  )
})
