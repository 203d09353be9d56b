import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"

import * as History from "./history.ts"
import { report, runSeed, type Verdict } from "./run.ts"

const seeds = 160
const chunk = 40

// What a history has in it, to count.
const kindsOf = ({ history, plan }: Verdict): ReadonlyArray<string> => {
  const isGo = (process: string) => plan.election!.goes.some(({ name }) => name === process)
  return history.flatMap((event): ReadonlyArray<string> => {
    switch (event._tag) {
      case "Trouble":
      case "Away":
        return [`${isGo(event.process) ? "go" : "ours"}: ${event.what}`]
      case "Lost":
        return [event.reason]
      case "WishEnded":
        return event.end._tag === "Granted" ? [`${isGo(event.process) ? "go" : "ours"} leads`] : [event.end._tag]
      case "Written": {
        const [was, is] = [event.before?.lock?.owner, event.after.lock?.owner]
        if (was === undefined || was === is) return [event.verb === "delete" ? "deleted" : "kept"]
        const [from, to] = [was, is].map((owner) =>
          owner === undefined ? "nobody" : isGo(History.processOf(owner)) ? "go" : "ours"
        )
        const by = History.processOf(was) === event.process ? "" : isGo(event.process) ? " by go" : " by ours"
        return [`${from} to ${to}${event.verb === "delete" ? "" : by}`]
      }
      default:
        return [event._tag]
    }
  })
}

describe("the election's promises hold", () => {
  const seen = new Map<string, number>()

  for (let from = 1; from <= seeds; from += chunk) {
    it.live(`in the worlds of the seeds ${from} to ${from + chunk - 1}`, () =>
      Effect.gen(function* () {
        for (let seed = from; seed < from + chunk; seed++) {
          const verdict = yield* runSeed(seed, {}, "elections")
          if (verdict.violations.length > 0) assert.fail(report(verdict))
          for (const what of kindsOf(verdict)) seen.set(what, (seen.get(what) ?? 0) + 1)
        }
      })
    )
  }

  // Promises that nothing puts to the test hold always.
  it("in worlds in which everything happens that can go wrong", () => {
    const expected = [
      ..."ours leads,go leads,GivenUp,Crashed,deleted,Expired,TakenOver,Deleted".split(","),
      ..."ours to go by go,go to ours by ours,ours to ours by ours,go to go by go".split(","),
      // A hand-over, and a release too late of a client-go.
      ..."ours to ours,ours to nobody,go to nobody,ours to nobody by go".split(","),
      ...["ours", "go"].flatMap((who) => ["Stall", "Suspend", "Partition"].map((what) => `${who}: ${what}`)),
      ..."ours: write: request slow,ours: write: answer dropped,go: put: answer dropped,ours: create: 409".split(",")
    ]
    for (const what of expected) assert.isAtLeast(seen.get(what) ?? 0, 1, what)
  })
})

describe("a world with an election", () => {
  it.live("is the same for the same seed, to the byte", () =>
    Effect.gen(function* () {
      for (const seed of [3, 5, 8]) {
        const [once, again] = [yield* runSeed(seed, {}, "elections"), yield* runSeed(seed, {}, "elections")]
        assert.isAbove(once.history.length, 20)
        assert.strictEqual(History.render(again.history), History.render(once.history))
        assert.deepStrictEqual(again.history, once.history)
      }
    })
  )
})
