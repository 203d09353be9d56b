import { assert, describe, it } from "@effect/vitest"
import { mutations } from "../../mutations/mutations.ts"
import { elections, setting } from "./elections.ts"
import type { Outcome } from "../walk.ts"
import { explore } from "./search.ts"

const historyOf = ({ violation }: Outcome): string =>
  violation === undefined ? "" : [violation.what, ...violation.history].join("\n")

describe("every interleaving of an election", () => {
  const taken = new Set<string>()

  for (const election of elections) {
    it(`${election.title}, down to depth ${election.depth}`, () => {
      const outcome = explore(election, election.depth)
      assert.strictEqual(historyOf(outcome), "")
      for (const name of outcome.taken) taken.add(name)
    })
  }

  it("makes every move there is", () => {
    const ofAll = new Set([...taken].map((name) => name.replaceAll(/\bB\b/g, "A")))
    assert.deepStrictEqual([...ofAll].toSorted(), everyMove)
  })
})

describe("finds an election that", () => {
  for (const { election, how, name } of mutations) {
    if (election === undefined) continue
    it(`${name}, at depth ${election.depth}`, () => {
      const { breaks, depth } = election
      const outcome = explore(setting(name, election.in, { ...how, ...election.how }), depth)
      assert.strictEqual(outcome.violation?.what, breaks)
      assert.strictEqual(outcome.depth, depth)
      assert.lengthOf(outcome.violation?.history ?? [], depth)
    })
  }
})

// Those of all candidates of the library under one name.
const everyMove = [
  "A crashes",
  "A finds that it leads",
  "A gives up",
  "A has its answer",
  "A has released",
  "A joins the queue",
  "A looks",
  "A releases",
  "A renews",
  "A sends its write",
  "somebody deletes the Lease",
  "somebody empties the Lease",
  "the answer to A is lost",
  "the answer to the client-go is lost",
  "the client-go ends",
  "the client-go finds a conflict",
  "the client-go gets no answer",
  "the client-go is stopped",
  "the client-go leads",
  "the client-go looks",
  "the client-go releases",
  "the client-go renews",
  "the server works on a write that A gave up",
  "the server works on the write of A",
  "the server works on the write of the client-go",
  "the term of A has ended",
  "the write of A is late",
  "the write of A is lost",
  "time passes"
]
