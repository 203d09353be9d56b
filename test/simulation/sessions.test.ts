import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { processOf } from "./history.ts"
import { describePromises } from "./promises.ts"
import { runSeed, type Verdict } from "./run.ts"
import { mutations } from "./sessionMutations.ts"

// What a history has in it, to count.
const kindsOf = ({ history, plan }: Verdict): ReadonlyArray<string> => [
  ...(plan.holders.some(({ session }) => session !== true) ? ["without a session"] : []),
  ...history.flatMap((event): ReadonlyArray<string> => {
    switch (event._tag) {
      case "Trouble":
      case "Away":
        return [event.what]
      case "Lost":
        return [event.reason]
      case "Kept": {
        const { broken, ended, process, session } = event
        if (ended === undefined) return broken.length === 0 ? ["kept"] : ["told of a break"]
        if (processOf(ended.split(" ")[2]!) === process) return ["ended in order"]
        return [session === undefined ? "fenced" : "had by another session"]
      }
      case "Written":
        return [event.after.lock?.session === undefined ? "without a session" : "under a session"]
      case "WishEnded":
        return [event.end._tag === "Failed" ? event.end.problem : event.end._tag]
      default:
        return [event._tag]
    }
  })
]

describePromises({
  kind: "sessions",
  seeds: 60,
  chunk: 20,
  kindsOf,
  expected: [
    ..."kept,ended in order,fenced,had by another session,under a session,without a session".split(","),
    ..."told of a break,Removed,Granted,GivenUp,LockConflict,LockTimeout,Expired,Crashed,Stall,Suspend,Partition,Restart".split(
      ","
    ),
    ..."wall clock set by a while,write: answer dropped,write: request slow,write: request late".split(",")
  ],
  // Not where a layer closes while a withdrawal pauses, as in seed 8: that pause goes on by the machine's own clock (`engine/closing.ts`).
  again: [2, 29]
})

describe("the simulation finds sessions that", () => {
  for (const { by, how, name, within } of mutations) {
    it.live(`${name}, within ${within} seeds`, () =>
      Effect.gen(function* () {
        for (let seed = 1; seed <= within; seed++) {
          const { violations } = yield* runSeed(seed, how, "sessions")
          if (violations.some(({ rule }) => rule === by)) return
        }
        assert.fail(`no world breaks the rule of ${by}`)
      })
    )
  }
})
