import { assert, describe, it } from "@effect/vitest"
import { mutations } from "./mutations.ts"
import { explore, type Outcome } from "./search.ts"
import { worlds } from "./worlds.ts"

const historyOf = ({ violation }: Outcome): string =>
  violation === undefined ? "" : [violation.what, ...violation.history].join("\n")

describe("every interleaving", () => {
  const taken = new Set<string>()
  let shared = 0
  let slowest = 0

  for (const world of worlds) {
    it(`${world.title}, down to depth ${world.depth}`, () => {
      const outcome = explore(world, world.depth)
      assert.strictEqual(historyOf(outcome), "")
      shared += outcome.shared
      slowest = Math.max(slowest, outcome.slowest)
      for (const name of outcome.taken.keys()) taken.add(name)
    })
  }

  it("takes every action there is", () => {
    assert.deepStrictEqual([...taken].toSorted(), everyAction)
  })

  it("leads to every contender getting the lock within seconds, once nothing goes wrong any more", () => {
    assert.isAtLeast(slowest, 4)
    assert.isAtMost(slowest, 8)
  })

  it("reaches states in which a contender relies on a lock that it was robbed of, beside the new holder", () => {
    assert.isAbove(shared, 0)
  })
})

describe("finds a protocol that", () => {
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
  "a vandal deletes the joins",
  "a vandal deletes the queue",
  "a vandal forges a join",
  "a vandal forges the queue",
  "a vandal garbles the joins",
  "a vandal garbles the queue",
  "a vandal puts a ghost at the head of the queue",
  "a vandal sets the label",
  "a vandal wipes queue, joins and label",
  "cannot tell what became of its commit",
  "claims the lock",
  "commits again",
  "crashes",
  "fails",
  "finds its release refused",
  "finds its renewal refused",
  "finds no holder to queue behind",
  "finds nothing to break",
  "finds that the object has changed",
  "finds that the queue has changed",
  "gets no answer to its read",
  "gives up its commit",
  "gives up waiting",
  "has broken the lock",
  "has committed",
  "has committed and hands over the lock",
  "has left the queue",
  "has left the queue and hands over the lock",
  "has left the queue and sends its release",
  "has lost the race",
  "has lost the race and backs off",
  "has lost the race and reads again",
  "has released",
  "has released and hands over the lock",
  "has renewed",
  "has taken the lock that it gave up and sends its release",
  "is done",
  "is granted the lock",
  "is interrupted",
  "is interrupted before it sends",
  "joins the queue",
  "lets its lease run out",
  "reads",
  "reads in order to release",
  "reads that it may commit again",
  "reads that the lock is gone",
  "reads that the lock is lost",
  "reads that the lock is still its own",
  "reads what is left of its own",
  "reads what is left of its own and hands over the lock",
  "reads what is left of its own and leaves the queue",
  "reads what is left of its own and sends its release",
  "reads what is left of its own and settles its write",
  "sees by a watch that the lock is its own",
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
  "waits",
  "waits in the queue"
]
