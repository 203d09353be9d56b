import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as History from "./history.ts"
import { mutations } from "./permitMutations.ts"
import { report, runSeed, type Verdict } from "./run.ts"

const seeds = 60
const chunk = 20

// What a history has in it, to count.
const kindsOf = ({ history, plan }: Verdict): ReadonlyArray<string> => [
  plan.permits!.limit === undefined ? "shared lock" : "semaphore",
  ...history.flatMap((event): ReadonlyArray<string> => {
    switch (event._tag) {
      case "Trouble":
      case "Away":
        return [event.what]
      case "Lost":
        return [event.reason]
      case "WishEnded":
        return event.end._tag === "Failed"
          ? [event.end.problem]
          : event.end._tag === "Granted" && event.end.turn !== event.acquisition
            ? ["passed on"]
            : [event.end._tag]
      case "Written":
        return [
          event.process === "operator" ? "broken" : event.verb,
          ...((event.after.line?.leases.length ?? 0) > 3 ? ["a long line"] : [])
        ]
      default:
        return [event._tag]
    }
  })
]

describe("the promises of permits hold", () => {
  const seen = new Map<string, number>()

  for (let from = 1; from <= seeds; from += chunk) {
    it.live(
      `in the worlds of the seeds ${from} to ${from + chunk - 1}`,
      () =>
        Effect.gen(function* () {
          for (let seed = from; seed < from + chunk; seed++) {
            const verdict = yield* runSeed(seed, {}, "permits")
            if (verdict.violations.length > 0) assert.fail(report(verdict))
            for (const what of kindsOf(verdict)) seen.set(what, (seen.get(what) ?? 0) + 1)
          }
        }),
      300_000
    )
  }

  // Promises that nothing puts to the test hold always.
  it("in worlds in which everything happens that can go wrong", () => {
    const expected = [
      ..."semaphore,shared lock,Granted,passed on,GivenUp,LockConflict,LockTimeout,a long line".split(","),
      ..."Stall,Suspend,Partition,Crashed,broken,delete,Expired,write: answer dropped,write: request slow".split(",")
    ]
    for (const what of expected) assert.isAtLeast(seen.get(what) ?? 0, 1, what)
  })
})

describe("a world with permits", () => {
  it.live("is the same for the same seed, to the byte", () =>
    Effect.gen(function* () {
      for (const seed of [2, 3]) {
        const [once, again] = [yield* runSeed(seed, {}, "permits"), yield* runSeed(seed, {}, "permits")]
        assert.isAbove(once.history.length, 20)
        assert.strictEqual(History.render(again.history), History.render(once.history))
        assert.deepStrictEqual(again.history, once.history)
      }
    })
  )
})

describe("the simulation finds a lock with permits that", () => {
  for (const { by, how, name, seed } of mutations) {
    it.live(
      `${name}, with the seed ${seed}`,
      () =>
        Effect.map(runSeed(seed, how, "permits"), ({ violations }) =>
          assert.include(
            violations.map(({ rule }) => rule),
            by
          )
        ),
      300_000
    )
  }
})
