import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { mutations as all } from "../mutations/mutations.ts"
import { mutations } from "./mutations.ts"
import { planOf, runSeed } from "./run.ts"

describe("the simulation finds a protocol that", () => {
  for (const { name, simulation } of all) {
    if (simulation === undefined) continue
    const { by, kind, theme, within } = simulation
    it.live(`${name}, within ${within} seeds`, () =>
      Effect.gen(function* () {
        for (let seed = 1; seed <= within; seed++) {
          if (theme !== undefined && planOf(seed, kind).theme !== theme) continue
          const { violations } = yield* runSeed(seed, mutations[name], kind)
          if (violations.some(({ rule }) => by.includes(rule))) return
        }
        assert.fail(`no world breaks the rule of ${by.join(" or ")}`)
      })
    )
  }
})
