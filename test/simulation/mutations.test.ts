import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { mutations } from "../mutations/mutations.ts"
import { mutate } from "./mutations.ts"
import * as plans from "./plan.ts"
import { runSeed } from "./run.ts"

describe("the simulation finds a protocol that", () => {
  for (const { how = {}, name, simulation } of mutations) {
    if (simulation === undefined) continue
    const { by, how: own, theme, within } = simulation
    it.live(
      `${name}, within ${within} seeds`,
      () =>
        Effect.gen(function* () {
          for (let seed = 1; seed <= within; seed++) {
            if (theme !== undefined && plans.make(seed).theme !== theme) continue
            const { violations } = yield* runSeed(seed, mutate(how, own))
            if (violations.some(({ rule }) => by.includes(rule))) return
          }
          assert.fail(`no world breaks the rule of ${by.join(" or ")}`)
        }),
      60_000
    )
  }
})
