import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { type MutationName, mutations } from "./mutations.ts"
import * as plans from "./plan.ts"
import { runSeed } from "./run.ts"

/**
 * Within how many seeds, from the first, a mutation is caught, and by the breach of which rules. `theme` is of the worlds
 * in which it can be.
 */
interface Bite {
  readonly within: number
  readonly by: ReadonlyArray<string>
  readonly theme?: plans.Theme
}

const bites: Record<MutationName, Bite> = {
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
  "loss goes unnoticed": { within: 200, by: ["noticed"] },
  "no identity check on hand-over": { within: 50, by: ["theft"] },
  "queues behind Dex": { within: 600, by: ["handsOff"], theme: "dex" },
  "arrivals are dropped": { within: 50, by: ["kept"] },
  "places are lost": { within: 50, by: ["kept"] },
  "the dead keep their place": { within: 50, by: ["claims"] },
  "last come, first served": { within: 50, by: ["order"] },
  "who comes later was there before": { within: 200, by: ["arrivals"] },
  "nobody is woken": { within: 50, by: ["woken"] },
  "a claim lasts as long as a lease": { within: 200, by: ["exclusion"] },
  "the label is believed": { within: 50, by: ["theft"] },
  "the line is believed": { within: 50, by: ["theft"] },
  "the first in line alone looks": { within: 50, by: ["takeover"] }
}

describe("the simulation finds a protocol with", () => {
  for (const [name, { by, theme, within }] of Object.entries(bites)) {
    it.live(`${name}, within ${within} seeds`, () =>
      Effect.gen(function* () {
        for (let seed = 1; seed <= within; seed++) {
          if (theme !== undefined && plans.make(seed).theme !== theme) continue
          const { violations } = yield* runSeed(seed, mutations[name as MutationName])
          if (violations.some(({ rule }) => by.includes(rule))) return
        }
        assert.fail(`no world breaks the rule of ${by.join(" or ")}`)
      })
    )
  }
})
