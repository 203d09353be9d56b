/** The chaos: whatever goes wrong, no value is spent twice unless a crash, a lost answer or a removal accounts for it. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import { kinds, play, type Loss } from "./chaos.ts"

/** How many worlds to play, and the seed of the first. Each next world has the next seed. */
const worlds = Number(process.env["KUBELOCK_REFRESH_WORLDS"] ?? 8)
const firstSeed = Number(process.env["KUBELOCK_REFRESH_SEED"] ?? 1)

/** Plays worlds in which these kinds of trouble happen, and returns how their grants were lost, and how often what happened. */
const playAll = (name: string, some: ReadonlyArray<(typeof kinds)[number]>, losses: ReadonlyArray<Loss>) =>
  it.effect(
    name,
    () =>
      Effect.gen(function* () {
        let rotations = 0
        const happened = new Map<string, number>()
        const lost = new Map<Loss, number>()
        for (let seed = firstSeed; seed < firstSeed + worlds; seed++) {
          const result = yield* Effect.provide(play({ seed, kinds: some }), TestClock.layer())
          assert.isUndefined(result.problem)
          rotations += result.rotations
          for (const [what, times] of result.requests) happened.set(what, (happened.get(what) ?? 0) + times)
          if (result.loss !== undefined) lost.set(result.loss, (lost.get(result.loss) ?? 0) + 1)
        }
        assert.includeMembers([...losses], [...lost.keys()])
        if (worlds < 8) return
        assert.isAbove(rotations, worlds)
        if (losses.length > 0) return
        for (const verb of ["read", "write", "commit"]) {
          for (const fault of [
            "LockUnauthorized",
            "LockForbidden",
            "404 resource",
            "404 object",
            "LockUnavailable",
            "lost"
          ]) {
            assert.isAbove(happened.get(`${verb}: ${fault}`) ?? 0, 0, `${verb}: ${fault}`)
          }
        }
      }),
    worlds * 30_000
  )

describe("in a chaos from a seed, a grant is lost", () => {
  playAll("never, if servers answer this and that, and strangers add keys", ["faults", "strangers"], [])
  playAll("never, if servers are out of reach, of all for a minute or of one for less", ["faults", "outages"], [])
  playAll("only by a crash between answer and write, if processes crash", ["faults", "crashes"], ["Crash"])
  playAll(
    "only by a removal that hides the answer, if strangers delete",
    ["faults", "strangers", "deletions"],
    ["Removed"]
  )
  playAll("only by what accounts for it, if everything happens at once", kinds, ["Crash", "AnswerLost", "Removed"])
})
