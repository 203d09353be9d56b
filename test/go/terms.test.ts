import { assert, describe, it } from "@effect/vitest"
import type { Event } from "./events.ts"
import { parse } from "./events.ts"
import { problems, type Seen } from "./judge.ts"
import { overlaps, type Term, termsOf, unordered } from "./terms.ts"

const term = (leader: string, claims: ReadonlyArray<number>, token?: bigint): Term => ({
  leader,
  claims,
  stopped: undefined,
  token
})

describe("events", () => {
  it("are lines of JSON; half a line is none", () => {
    assert.deepStrictEqual(parse(`{"event":"started","at":1.5,"token":"7"}`), { event: "started", at: 1.5, token: "7" })
    assert.deepStrictEqual(parse(`{"event":"leader","at":1,"leader":""}`), { event: "leader", at: 1, leader: "" })
    assert.isUndefined(parse(`{"event":"leading","a`))
  })
})

describe("terms", () => {
  it("begin with the first claim, and end with the last one or with a stop", () => {
    const events: ReadonlyArray<Event> = [
      { event: "leader", at: 1, leader: "b" },
      { event: "started", at: 2, token: "5" },
      { event: "leading", at: 3 },
      { event: "stopped", at: 4 },
      { event: "started", at: 6 },
      { event: "leading", at: 7 }
    ]
    assert.deepStrictEqual(termsOf("a", events), [
      { leader: "a", claims: [2, 3], stopped: 4, token: 5n },
      { leader: "a", claims: [6, 7], stopped: undefined, token: undefined }
    ])
  })

  it("overlap if the older leader claims within the term of the newer one", () => {
    const [older, newer] = [term("a", [0, 10, 50, 60, 90]), term("b", [40, 70])]
    assert.deepStrictEqual(overlaps([newer, older]), [{ older, newer, millis: 10 }])
  })

  it("do not overlap if the older leader is suspended meanwhile, or if one candidate leads twice", () => {
    assert.deepStrictEqual(overlaps([term("a", [0, 10, 90]), term("b", [40, 70])]), [])
    assert.deepStrictEqual(overlaps([term("a", [0, 50]), term("a", [40, 70])]), [])
  })

  it("have tokens that grow, where they have any", () => {
    const [first, second, third] = [term("a", [0], 1n), term("b", [1], 2n), term("c", [2], 2n)]
    assert.deepStrictEqual(unordered([third, term("go", [1.5]), first, second]), [[second, third]])
  })
})

describe("a scenario", () => {
  const seen: Seen = {
    records: [
      { name: "go-1", kind: "go", terms: [term("go-1", [0, 50])] },
      { name: "ours-2", kind: "ours", terms: [term("ours-2", [60, 70])] }
    ],
    leadsOn: (kind) => (kind === "go" ? 100 : 0),
    handOvers: [],
    unmet: [],
    millis: 0,
    notes: [],
    lost: []
  }
  const records = (go: ReadonlyArray<number>, ours: ReadonlyArray<number>): Seen => ({
    ...seen,
    records: [
      { name: "go-1", kind: "go", terms: [term("go-1", go)] },
      { name: "ours-2", kind: "ours", terms: [term("ours-2", ours)] }
    ]
  })

  it("is kept if the leaders lead one after the other, or for as long as is allowed at once", () => {
    assert.deepStrictEqual(problems(seen), [])
    assert.deepStrictEqual(problems(records([0, 60, 160], [60, 200])), [])
  })

  it("is broken by an overlap that is too long, by any where none is allowed, and by a candidate that never leads", () => {
    assert.match(problems(records([0, 60, 161], [60, 200]))[0]!, /^go-1 led on for 101 ms beside ours-2/)
    assert.match(problems(records([10, 40], [0, 10]))[0]!, /^ours-2 led on for 0 ms beside go-1/)
    const silent = { name: "ours-2", kind: "ours", terms: [] } as const
    assert.deepStrictEqual(problems({ ...seen, records: [seen.records[0]!, silent] }), ["ours-2 never led"])
  })

  it("is broken by what was waited for in vain, and by what is gone from the Lease", () => {
    assert.deepStrictEqual(problems({ ...seen, unmet: ["x"], lost: ["a label"] }), [
      "x",
      "a label of others is gone from the Lease"
    ])
  })
})
