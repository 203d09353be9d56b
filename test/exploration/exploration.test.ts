import { assert, describe, it } from "@effect/vitest"
import { mutations } from "./mutations.ts"
import { explore, type Outcome } from "./search.ts"
import { worlds } from "./worlds.ts"

const told = ({ violation }: Outcome): string =>
  violation === undefined ? "" : [violation.what, ...violation.history].join("\n")

describe("every interleaving", () => {
  const taken = new Set<string>()
  let shared = 0

  for (const world of worlds) {
    it(`${world.title}, down to depth ${world.depth}`, () => {
      const outcome = explore(world, world.depth)
      console.log(`${world.title}: ${outcome.states} states visited, depth ${outcome.depth}`)
      assert.strictEqual(told(outcome), "")
      shared += outcome.shared
      for (const name of outcome.taken.keys()) taken.add(name)
    })
  }

  it("takes every action there is", () => {
    assert.deepStrictEqual([...taken].toSorted(), everyAction)
  })

  it("reaches states in which a contender relies on a lock that it was robbed of, beside the new holder", () => {
    assert.isAbove(shared, 0)
  })
})

describe("finds what is wrong with a protocol that", () => {
  for (const mutation of mutations) {
    it(`${mutation.title}, at depth ${mutation.depth}`, () => {
      const outcome = explore(mutation, mutation.depth)
      assert.strictEqual(outcome.violation?.what, mutation.breaks)
      assert.strictEqual(outcome.depth, mutation.depth)
      assert.lengthOf(outcome.violation?.history ?? [], mutation.depth)
    })
  }
})

const everyAction = [
  "a stranger changes an annotation of its own",
  "a stranger writes what is no time into the lock",
  "crashes",
  "fails on a malformed lock",
  "finds its release refused",
  "finds its renewal refused",
  "finds nothing to break",
  "gets no answer to its read",
  "gives up waiting",
  "has broken the lock",
  "has committed",
  "has lost the race",
  "has released",
  "has renewed",
  "is done",
  "is granted the lock",
  "is interrupted",
  "lets its lease run out",
  "reads",
  "reads a lock of its own and sends its release",
  "reads another lease of its own and commits again",
  "reads in order to release",
  "reads that nothing is left of its own",
  "reads that the lock is gone",
  "reads that the lock is lost",
  "reads that the lock is still its own",
  "sends a commit",
  "sends a renewal",
  "sends an acquiring write",
  "sends its release",
  "sends the removal",
  "the network loses the answer to",
  "the network loses the write of",
  "the server works on a write given up by",
  "the server works on the write of",
  "time passes",
  "waits"
]
