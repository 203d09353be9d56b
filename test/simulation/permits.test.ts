import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { mutations } from "./permitMutations.ts"
import { describePromises } from "./promises.ts"
import { runSeed, type Verdict } from "./run.ts"

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

describePromises({
  kind: "permits",
  seeds: 60,
  chunk: 20,
  kindsOf,
  expected: [
    ..."semaphore,shared lock,Granted,passed on,GivenUp,LockConflict,LockTimeout,a long line".split(","),
    ..."Stall,Suspend,Partition,Crashed,broken,delete,Expired,write: answer dropped,write: request slow".split(",")
  ],
  again: [2, 3]
})

describe("a lease that has some of its permits later than others", () => {
  // Another process has the later permit in between.
  it.live("gives it out with a greater token, with the seed 352", () =>
    Effect.map(runSeed(352, {}, "permits"), ({ violations }) => assert.deepStrictEqual(violations, []))
  )
})

describe("the simulation finds a lock with permits that", () => {
  for (const { by, how, name, seed } of mutations) {
    it.live(`${name}, with the seed ${seed}`, () =>
      Effect.map(runSeed(seed, how, "permits"), ({ violations }) =>
        assert.include(
          violations.map(({ rule }) => rule),
          by
        )
      )
    )
  }
})
