import { assert, describe, it } from "@effect/vitest"
import { mutations } from "../../mutations/permits.ts"
import type { Outcome } from "../walk.ts"
import { lines, setting } from "./permits.ts"
import { explore } from "./search.ts"

const historyOf = ({ violation }: Outcome): string =>
  violation === undefined ? "" : [violation.what, ...violation.history].join("\n")

describe("every interleaving of a lock with permits", () => {
  const taken = new Set<string>()
  let slowest = 0

  for (const line of lines) {
    it(`${line.title}, down to depth ${line.depth}`, () => {
      const outcome = explore(line, line.depth)
      assert.strictEqual(historyOf(outcome), "")
      slowest = Math.max(slowest, outcome.slowest)
      for (const name of outcome.taken) taken.add(name)
    })
  }

  it("makes every move there is", () => {
    const ofAll = new Set([...taken].map((name) => name.replaceAll(/\b[B-F]\b/g, "A")))
    assert.deepStrictEqual([...ofAll].toSorted(), everyMove)
  })

  it("leads to every contender getting its permits within seconds, once nothing goes wrong any more", () => {
    assert.isAtLeast(slowest, 3)
    assert.isAtMost(slowest, 8)
  })
})

describe("finds a lock with permits that", () => {
  for (const { breaks, depth, how, in: place, name } of mutations) {
    it(`${name}, at depth ${depth}`, () => {
      const outcome = explore(setting(name, place, how), depth)
      assert.strictEqual(outcome.violation?.what, breaks)
      assert.strictEqual(outcome.depth, depth)
      assert.lengthOf(outcome.violation?.history ?? [], depth)
    })
  }
})

// Those of all contenders under one name.
const everyMove = [
  "A begins",
  "A crashes",
  "A gives a permit back",
  "A gives up",
  "A goes on",
  "A has its answer",
  "A releases",
  "A renews",
  "A sees a change",
  "A stops looking",
  "A takes all permits",
  "A tries again",
  "a stranger writes on the object",
  "an operator breaks the lease of A",
  "the answer to A is lost",
  "the lease of A has run out",
  "the server works on a write that A gave up",
  "the server works on the write of A",
  "the write of A is late",
  "the write of A is lost",
  "time passes"
]
