import { assert, describe, it } from "@effect/vitest"
import { mutations } from "./mutations.ts"
import { explore, type Outcome } from "./search.ts"
import { worlds } from "./worlds.ts"

const told = ({ violation }: Outcome): string =>
  violation === undefined ? "" : [violation.what, ...violation.history].join("\n")

describe("every interleaving", () => {
  const taken = new Set<string>()
  let shared = 0
  let slowest = 0

  for (const world of worlds) {
    it(`${world.title}, down to depth ${world.depth}`, () => {
      const outcome = explore(world, world.depth)
      assert.strictEqual(told(outcome), "")
      shared += outcome.shared
      slowest = Math.max(slowest, outcome.slowest)
      for (const name of outcome.taken.keys()) taken.add(name)
    })
  }

  it("takes every action there is", () => {
    assert.deepStrictEqual([...taken].toSorted(), everyAction)
  })

  it("leads to everybody getting the lock within seconds, once nothing goes wrong any more", () => {
    assert.isAtLeast(slowest, 4)
    assert.isAtMost(slowest, 8)
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
  "a vandal deletes the arrivals",
  "a vandal deletes the line",
  "a vandal forges an arrival",
  "a vandal forges the line",
  "a vandal garbles the arrivals",
  "a vandal garbles the line",
  "a vandal puts somebody who is not there at the head of the line",
  "a vandal sets the label",
  "a vandal wipes the queue",
  "claims the lock",
  "crashes",
  "fails on a malformed lock",
  "finds its release refused",
  "finds its renewal refused",
  "finds nobody to queue behind",
  "finds nothing to break",
  "finds that the queue has changed",
  "gets no answer to its read",
  "gives up waiting",
  "has broken the lock",
  "has committed",
  "has committed and hands the lock on to who waits",
  "has left the queue",
  "has left the queue and hands the lock on to who waits",
  "has left the queue and sends its release",
  "has lost the race",
  "has released",
  "has released and hands the lock on to who waits",
  "has renewed",
  "is done",
  "is granted the lock",
  "is interrupted",
  "is told that the lock is its own",
  "joins the queue",
  "lets its lease run out",
  "reads",
  "reads a lock of its own and commits again",
  "reads in order to release",
  "reads its place in the queue and leaves it",
  "reads that the lock is gone",
  "reads that the lock is lost",
  "reads that the lock is still its own",
  "reads what is left of its own",
  "reads what is left of its own and hands the lock on to who waits",
  "reads what is left of its own and sends its release",
  "sends a commit",
  "sends a renewal",
  "sends an acquiring write",
  "sends its release",
  "sends the removal",
  "stands in the queue",
  "the network loses the answer to",
  "the network loses the write of",
  "the server works on a write given up by",
  "the server works on the write of",
  "time passes",
  "waits"
]
