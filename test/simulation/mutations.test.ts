import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { type MutationName, mutations } from "./mutations.ts"
import { runSeed } from "./run.ts"

/** Within how many seeds, from the first, a mutation is caught, and by the breach of which rules. */
const bites: Record<MutationName, { readonly within: number; readonly by: ReadonlyArray<string> }> = {
  "no identity check on release": { within: 50, by: ["theft"] },
  "validity from after the write": { within: 200, by: ["exclusion"] },
  "no read-back": { within: 100, by: ["leftovers"] },
  "local clock": { within: 10, by: ["exclusion", "theft", "expiries"] },
  "break without compare-and-swap": { within: 10, by: ["theft"] },
  "no identity check on renewal": { within: 100, by: ["theft"] },
  "break by the latest time": { within: 50, by: ["theft"] },
  "expiry by the earliest time": { within: 100, by: ["exclusion"] },
  "expired locks stand": { within: 50, by: ["takeover"] },
  "whole annotation map": { within: 10, by: ["foreign"] },
  "constant fencing token": { within: 10, by: ["tokens"] },
  "loss goes unnoticed": { within: 200, by: ["noticed"] }
}

describe("the simulation finds a protocol with", () => {
  for (const [name, { by, within }] of Object.entries(bites)) {
    it.live(
      `${name}, within ${within} seeds`,
      () =>
        Effect.gen(function* () {
          for (let seed = 1; seed <= within; seed++) {
            const { violations } = yield* runSeed(seed, mutations[name as MutationName])
            if (violations.some(({ rule }) => by.includes(rule))) return
          }
          assert.fail(`no world breaks the rule of ${by.join(" or ")}`)
        }),
      60_000
    )
  }
})
