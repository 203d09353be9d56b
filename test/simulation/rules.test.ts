import { assert, describe, it } from "@effect/vitest"
import { stableHolderAfter } from "../../src/LockProtocol.ts"
import { yieldToDexFor as visit } from "../../src/LockProtocol.ts"
import { check } from "./check.ts"
import type { Event, Happening, LockOn, Version } from "./history.ts"
import { plainHolder, plainWorld } from "./plainPlan.ts"
import { type HolderPlan, patience, type Plan } from "./plan.ts"

const holder = (name: string): HolderPlan => ({
  ...plainHolder,
  name,
  requestTimeout: 1000,
  ttl: 3000,
  polls: 50,
  tries: 0.2
})

/** Uncertainty, two places in the queue for each of two looks, a poll, and a gap: so late may a lock be taken. */
const late = 1000 + 2 * 200 + 100 + visit + 50

const plan: Plan = {
  seed: 0,
  theme: "calm",
  ahead: 0,
  delay: 10,
  ...plainWorld,
  holders: [holder("p1"), holder("p2")],
  calmFrom: 0,
  busyUntil: 0
}

const object = (version: number, lock?: LockOn, rest: Partial<Version> = {}): Version => ({
  version,
  lock,
  second: undefined,
  queue: { line: [], arrivals: [], next: undefined },
  others: {},
  written: undefined,
  ...rest
})

const lockOf = (owner: string, until: number): LockOn => ({ owner, until })

const at = (at: number, process: string, happening: Happening): Event => ({ ...happening, at, process })

const wished = (time: number, acquisition: string) => at(time, acquisition.slice(0, 2), { _tag: "Wished", acquisition })

const written = (time: number, process: string, before: Version, after: Version) =>
  at(time, process, { _tag: "Written", verb: "write", before, after })

const granted = (time: number, acquisition: string, version: number, passes = 0, turn = acquisition) => {
  const process = acquisition.slice(0, 2)
  const token = (BigInt(version) << 20n) + BigInt(passes)
  return [
    at(time, process, { _tag: "WishEnded", acquisition, end: { _tag: "Granted", turn } }),
    at(time, process, { _tag: "Valid", acquisition, token })
  ]
}

const released = (time: number, acquisition: string) => {
  const process = acquisition.slice(0, 2)
  return [
    at(time, process, { _tag: "Releasing", acquisition }),
    at(time, process, { _tag: "Invalid", acquisition }),
    at(time, process, { _tag: "Released", acquisition })
  ]
}

const finished = (time: number) => ["p1", "p2"].map((name) => at(time, name, { _tag: "Finished" }))

/** The lock taken by p1 at 100 ms and released at 500. */
const taken = [
  wished(90, "p1/1"),
  written(100, "p1", object(1), object(2, lockOf("p1/1", 4000))),
  ...granted(110, "p1/1", 2)
]
/** And taken away by a Dex at 200, and had by p2 until 400. */
const robbed = [
  ...taken,
  written(200, "dex1", object(2, lockOf("p1/1", 4000)), object(3)),
  wished(290, "p2/1"),
  written(300, "p2", object(3), object(4, lockOf("p2/1", 4500))),
  ...granted(310, "p2/1", 4),
  ...released(400, "p2/1")
]
const sound = [
  ...taken,
  ...released(500, "p1/1"),
  written(500, "p1", object(2, lockOf("p1/1", 4000)), object(3)),
  ...finished(9000)
]

const brokenBy = (history: ReadonlyArray<Event>, changed: Partial<Plan> = {}) =>
  // Nobody watches in these histories.
  [...new Set(check({ ...plan, ...changed }, history).map(({ rule }) => rule))].filter((rule) => rule !== "told")

describe("a rule", () => {
  it("is not broken by a history in which all went well", () => {
    assert.deepStrictEqual(brokenBy(sound), [])
  })

  it("forbids two to be valid at once, whichever way they came to it", () => {
    const second = [
      wished(150, "p2/1"),
      written(200, "p2", object(2, lockOf("p1/1", 4000)), object(3, lockOf("p2/1", 4500))),
      ...granted(210, "p2/1", 3)
    ]
    assert.includeMembers(brokenBy([...taken, ...second, ...finished(9000)]), ["exclusion", "theft"])
    const again = at(5000, "p1", { _tag: "Valid", acquisition: "p1/1", token: 2n << 20n })
    const revived = [...taken, at(150, "p1", { _tag: "Invalid", acquisition: "p1/1" }), ...second, again]
    assert.include(brokenBy([...revived, ...finished(9000)]), "exclusion")
  })

  it("excuses only who was robbed by an outsider, and only for as long as it cannot know", () => {
    const noticedAt = (until: number) => [
      ...robbed,
      written(401, "p2", object(4, lockOf("p2/1", 4500)), object(5)),
      at(until, "p1", { _tag: "Lost", acquisition: "p1/1", reason: "Removed" }),
      ...released(until, "p1/1"),
      ...finished(9000)
    ]
    assert.deepStrictEqual(brokenBy(noticedAt(1200)), [])
    assert.deepStrictEqual(brokenBy(noticedAt(2000)), ["noticed"])
  })

  it("wants every token to be larger than those before, and to come from the write that acquired", () => {
    const next = (passes: number, version: number) => [
      ...taken,
      ...released(500, "p1/1"),
      wished(400, "p1/2"),
      ...granted(500, "p1/2", version, passes, "p1/1"),
      ...released(600, "p1/2"),
      written(600, "p1", object(2, lockOf("p1/1", 4000)), object(3)),
      ...finished(9000)
    ]
    assert.deepStrictEqual(brokenBy(next(1, 2)), [])
    assert.deepStrictEqual(brokenBy(next(0, 2)), ["tokens"])
    assert.deepStrictEqual(brokenBy(next(1, 1)), ["tokens"])
  })

  it("forbids to remove another's lock, expired or not", () => {
    const removal = written(5000, "p2", object(2, lockOf("p1/1", 4000)), object(3))
    assert.include(brokenBy([...taken, ...released(4000, "p1/1"), removal, ...finished(9000)]), "theft")
  })

  it("lets an expired lock be taken: at the expiry itself not yet, and then before long", () => {
    const crashed = [
      ...taken,
      at(200, "p1", { _tag: "Invalid", acquisition: "p1/1" }),
      at(200, "p1", { _tag: "Crashed" }),
      wished(3000, "p2/1")
    ]
    const takenAt = (time: number) => [
      ...crashed,
      written(time, "p2", object(2, lockOf("p1/1", 4000)), object(3, lockOf("p2/1", time + 3500))),
      ...granted(time + 10, "p2/1", 3),
      ...released(time + 20, "p2/1"),
      written(time + 20, "p2", object(3, lockOf("p2/1", time + 3500)), object(4)),
      at(20_000, "p2", { _tag: "Finished" })
    ]
    assert.deepStrictEqual(brokenBy(takenAt(4000)), ["theft"])
    assert.deepStrictEqual(brokenBy(takenAt(4001)), [])
    assert.deepStrictEqual(brokenBy(takenAt(4000 + late)), [])
    assert.deepStrictEqual(brokenBy(takenAt(4100 + late)), ["takeover"])
    const inTrouble = at(5000, "p2", { _tag: "Trouble", what: "read: 500" })
    assert.deepStrictEqual(brokenBy([...takenAt(4100 + late), inTrouble]), [])
  })

  it("forbids expiries further away than the TTL and its margin, whatever goes wrong", () => {
    const until = (until: number) => [
      taken[0]!,
      written(100, "p1", object(1), object(2, lockOf("p1/1", until))),
      ...granted(110, "p1/1", 2),
      ...released(500, "p1/1"),
      written(500, "p1", object(2, lockOf("p1/1", until)), object(3)),
      ...finished(9000)
    ]
    assert.deepStrictEqual(brokenBy(until(9900), { theme: "storm" }), [])
    assert.deepStrictEqual(brokenBy(until(10_200), { theme: "storm" }), ["expiries"])
  })

  it("forbids that a blip loses a lock", () => {
    const lost = [...taken, at(300, "p1", { _tag: "Lost", acquisition: "p1/1", reason: "Expired" }), ...sound.slice(-6)]
    assert.deepStrictEqual(brokenBy(lost), [])
    assert.deepStrictEqual(brokenBy(lost, { theme: "blips" }), ["robust"])
  })

  it("takes no commit for a blip that loses a lock", () => {
    const gaveItAway = (verb: string) => [
      ...taken,
      at(300, "p1", { _tag: "Written", verb, before: object(2, lockOf("p1/1", 4000)), after: object(3) }),
      ...released(310, "p1/1"),
      at(320, "p1", { _tag: "Lost", acquisition: "p1/1", reason: "TakenOver" }),
      ...finished(9000)
    ]
    assert.notInclude(brokenBy(gaveItAway("commit"), { theme: "blips" }), "robust")
    assert.include(brokenBy(gaveItAway("write"), { theme: "blips" }), "robust")
  })

  it("forbids that a loss is not told, as soon as no commit is under way", () => {
    const lost = (...told: ReadonlyArray<Event>) => [
      ...taken,
      at(2900, "p1", { _tag: "Invalid", acquisition: "p1/1" }),
      ...told,
      ...released(9500, "p1/1").filter(({ _tag }) => _tag !== "Invalid"),
      written(9500, "p1", object(2, lockOf("p1/1", 4000)), object(3)),
      ...finished(9600)
    ]
    const tells = (time: number) => at(time, "p1", { _tag: "Lost", acquisition: "p1/1", reason: "Expired" })
    const committing = at(2900, "p1", { _tag: "Committing", acquisition: "p1/1" })
    const commits = (time: number, how: string) => at(time, "p1", { _tag: "Committed", acquisition: "p1/1", how })
    assert.notInclude(brokenBy(lost(tells(2900))), "losses")
    assert.include(brokenBy(lost()), "losses")
    assert.notInclude(brokenBy(lost(committing)), "losses")
    assert.notInclude(brokenBy(lost(committing, commits(9000, "done"))), "losses")
    assert.notInclude(brokenBy(lost(committing, commits(8000, "LockUnavailable"), tells(8000))), "losses")
    assert.include(brokenBy(lost(committing, commits(8000, "LockUnavailable"), tells(9000))), "losses")
  })

  it("forbids that a holder is told of a loss that never was", () => {
    const told = (reason: string) => [
      ...taken,
      at(300, "p1", { _tag: "Lost", acquisition: "p1/1", reason }),
      ...sound.slice(-6)
    ]
    assert.deepStrictEqual(brokenBy(told("Expired")), [])
    assert.deepStrictEqual(brokenBy(told("Deleted")), ["groundless"])
  })

  it("forbids that an acquiring write arrives when its wish has long ended", () => {
    const arrivesAt = (time: number) => [
      wished(90, "p1/1"),
      at(100, "p1", { _tag: "WishEnded", acquisition: "p1/1", end: { _tag: "GivenUp" } }),
      at(100, "p1", { _tag: "Released", acquisition: "p1/1" }),
      written(time, "p1", object(1), object(2, lockOf("p1/1", 4000))),
      written(time + 50, "p1", object(2, lockOf("p1/1", 4000)), object(3)),
      ...finished(9000)
    ]
    assert.deepStrictEqual(brokenBy(arrivesAt(200)), [])
    assert.deepStrictEqual(brokenBy(arrivesAt(2000)), ["late"])
  })

  it("wants a join that arrives when its wish is over to be taken out of the queue", () => {
    const first = lockOf("p1/1", 40_000)
    const came = object(4, first, { queue: { line: [], arrivals: ["p2/1"], next: undefined } })
    const joinsAt = (time: number, ...later: ReadonlyArray<Event>) =>
      brokenBy([
        ...taken,
        wished(150, "p2/1"),
        at(1000, "p2", { _tag: "WishEnded", acquisition: "p2/1", end: { _tag: "GivenUp" } }),
        at(1000, "p2", { _tag: "Released", acquisition: "p2/1" }),
        written(time, "p2", object(3, first), came),
        ...later,
        wished(9000, "p2/2")
      ]).filter((rule) => rule === "forgotten")
    const takenOut = (time: number) => written(time, "p2", came, object(5, first))
    assert.deepStrictEqual(joinsAt(4000), ["forgotten"])
    assert.deepStrictEqual(joinsAt(4000, takenOut(6000)), [])
    assert.deepStrictEqual(joinsAt(4000, takenOut(8000)), ["forgotten"])
    assert.deepStrictEqual(joinsAt(6000), [])
    const again = written(6500, "p2", object(5, first), { ...came, version: 6 })
    assert.deepStrictEqual(joinsAt(4000, takenOut(4100), again), [])
  })

  it("forbids expiries far away", () => {
    const greedy = [
      ...released(500, "p1/1"),
      written(501, "p1", object(2, lockOf("p1/1", 9000)), object(3)),
      ...finished(9000)
    ]
    const first = written(100, "p1", object(1), object(2, lockOf("p1/1", 9000)))
    assert.deepStrictEqual(brokenBy([taken[0]!, first, ...granted(110, "p1/1", 2), ...greedy]), ["expiries"])
  })

  it("protects what others wrote on the object", () => {
    const wiped = written(600, "p1", object(3, undefined, { others: { color: "red" } }), object(4))
    assert.deepStrictEqual(brokenBy([...sound, wiped]), ["foreign"])
    const own = written(600, "owner", object(3, undefined, { others: { color: "red" } }), object(4))
    assert.deepStrictEqual(brokenBy([...sound, own]), [])
  })

  it("forbids the resource to hear a stale holder", () => {
    const heard = (acquisition: string, accepted = true) =>
      at(600, "resource", { _tag: "Fenced", acquisition, token: 1n, accepted })
    assert.deepStrictEqual(brokenBy([...sound, heard("p1/1"), heard("p2/1"), heard("p1/1", false)]), [])
    assert.deepStrictEqual(brokenBy([...sound, heard("p1/1"), heard("p2/1"), heard("p1/1")]), ["fenced"])
  })

  it("holds a commit to be all or nothing", () => {
    const committed = (how: string) => at(700, "p1", { _tag: "Committed", acquisition: "p1/1", how })
    const write = (before: LockOn | undefined) =>
      written(400, "p1", object(2, before), object(3, undefined, { written: "p1/1" }))
    const through = (write: Event, how: string) => [
      ...taken,
      write,
      committed(how),
      ...released(700, "p1/1"),
      ...finished(9000)
    ]
    const sound = write(lockOf("p1/1", 4000))
    assert.deepStrictEqual(brokenBy(through(sound, "done")), [])
    assert.deepStrictEqual(brokenBy(through(sound, "LockUnavailable")), [])
    assert.deepStrictEqual(brokenBy(through(sound, "LockLost")), ["commits"])
    assert.include(brokenBy(through(write(undefined), "done")), "commits")
    const nothing = written(400, "p1", object(2, lockOf("p1/1", 4000)), object(3))
    assert.deepStrictEqual(brokenBy(through(nothing, "done")), ["commits"])
  })

  it("wants every wish to end, and none by a surprise", () => {
    const failed = (problem: string, time = 6400) => [
      wished(1000, "p2/1"),
      at(time, "p2", { _tag: "WishEnded", acquisition: "p2/1", end: { _tag: "Failed", problem, detail: "" } })
    ]
    assert.deepStrictEqual(brokenBy([...sound, ...failed("LockTimeout")]), [])
    assert.deepStrictEqual(brokenBy([...sound, ...failed("LockTimeout", 2000)]), ["wishes"])
    assert.deepStrictEqual(brokenBy([...sound, ...failed("LockTimeout", 9000)]), ["wishes"])
    assert.deepStrictEqual(brokenBy([...sound, ...failed("LockUnavailable")]), ["wishes"])
    const trouble = at(6000, "p2", { _tag: "Trouble", what: "read: 500" })
    assert.deepStrictEqual(brokenBy([...sound, trouble, ...failed("LockUnavailable")]), [])
    assert.deepStrictEqual(brokenBy([...sound, ...failed("defect")]), ["wishes"])
    assert.deepStrictEqual(brokenBy([...sound, at(9000, "p2", { _tag: "Broke", defect: "?" })]), ["wishes"])
    assert.deepStrictEqual(brokenBy(sound.filter(({ _tag }) => _tag !== "Finished")), ["wishes"])
  })

  it("has nobody wait in vain who is patient", () => {
    const patient = { ...holder("p2"), polls: patience / 100 }
    const failed = [
      wished(1000, "p2/1"),
      at(patience, "p2", {
        _tag: "WishEnded",
        acquisition: "p2/1",
        end: { _tag: "Failed", problem: "LockTimeout", detail: "" }
      })
    ]
    assert.deepStrictEqual(brokenBy([...sound, ...failed], { holders: [holder("p1"), patient] }), ["wishes"])
  })

  it("wants a free lock to be taken, too", () => {
    const waits = (until: number) => [
      ...taken,
      wished(400, "p2/1"),
      ...released(500, "p1/1"),
      written(501, "p1", object(2, lockOf("p1/1", 4000)), object(3)),
      written(until, "p2", object(3), object(4, lockOf("p2/1", until + 3500))),
      ...granted(until + 10, "p2/1", 4),
      ...released(until + 20, "p2/1"),
      written(until + 20, "p2", object(4, lockOf("p2/1", until + 3500)), object(5)),
      ...finished(20_000)
    ]
    assert.deepStrictEqual(brokenBy(waits(501 + stableHolderAfter + late)), [])
    assert.deepStrictEqual(brokenBy(waits(601 + stableHolderAfter + late)), ["takeover"])
  })

  it("wants who is handed the lock to be told", () => {
    const told = (time: number, renews: boolean) =>
      brokenBy(
        [
          ...taken,
          wished(150, "p2/1"),
          ...released(300, "p1/1"),
          written(301, "p1", object(2, lockOf("p1/1", 4000)), object(3, lockOf("p2/1", 3301))),
          ...granted(time, "p2/1", 3),
          ...released(time + 10, "p2/1"),
          written(time + 20, "p2", object(3, lockOf("p2/1", 3301)), object(4)),
          ...finished(9000)
        ],
        { holders: [holder("p1"), { ...holder("p2"), renews }] }
      ).filter((rule) => rule !== "label")
    assert.deepStrictEqual(told(401, true), [])
    assert.deepStrictEqual(told(461, true), ["woken"])
    assert.deepStrictEqual(told(461, false), [])
  })

  it("excuses who was robbed, and is given the lock back by a forged queue", () => {
    const back = (owner: string) => [
      ...robbed,
      written(401, "p2", object(4, lockOf("p2/1", 4500)), object(5, lockOf(owner, 4000))),
      ...released(2000, "p1/1"),
      written(2001, "p1", object(5, lockOf(owner, 4000)), object(6)),
      ...finished(9000)
    ]
    const vandal = { from: 0, to: 5000, every: 1000 }
    assert.include(brokenBy(back("p1/1")), "noticed")
    assert.notInclude(brokenBy(back("p1/1"), { vandal }), "noticed")
    assert.include(brokenBy(back("p3/1"), { vandal }), "noticed")
  })

  it("wants the lock to be handed on in the order of arrival, and the label to say to whom", () => {
    const queue = (line: ReadonlyArray<string>, arrivals: ReadonlyArray<string>, next?: string) => ({
      queue: { line, arrivals, next }
    })
    const first = lockOf("p1/1", 4000)
    const handed = (owner: string, next = owner.slice(0, 2)) => [
      ...taken,
      wished(150, "p2/1"),
      wished(150, "p3/1"),
      written(200, "p2", object(2, first), object(3, first, queue([], ["p2/1"]))),
      ...released(300, "p1/1"),
      written(301, "p1", object(3, first, queue([], ["p2/1"])), object(4, lockOf("p2/1", 3301), queue([], [], next))),
      ...granted(310, "p2/1", 4),
      written(320, "p3", object(4, lockOf("p2/1", 3301)), object(5, lockOf("p2/1", 3301), queue(["p3/1"], [])))
    ]
    const holders = ["p1", "p2", "p3", "p4"].map(holder)
    const orderBroken = (history: ReadonlyArray<Event>) =>
      brokenBy(history, { holders }).filter((rule) => ["order", "label", "claims"].includes(rule))
    assert.deepStrictEqual(orderBroken(handed("p2/1")), [])
    assert.deepStrictEqual(orderBroken(handed("p2/1", "p3")), ["label"])
    const both = queue(["p4/1", "p3/1"], [])
    const before = object(6, lockOf("p2/1", 3301), both)
    const late = [
      ...handed("p2/1"),
      wished(330, "p4/1"),
      written(340, "p4", object(5, lockOf("p2/1", 3301), queue(["p3/1"], [])), before)
    ]
    const to = (owner: string) =>
      written(400, "p2", before, object(7, lockOf(owner, 3400), queue([], [], owner.slice(0, 2))))
    // Both arrived after the hand-over to p2.
    assert.deepStrictEqual(orderBroken([...late, to("p4/1")]), [])
    const later = [
      ...handed("p2/1"),
      wished(330, "p4/1"),
      written(400, "p2", object(5, lockOf("p2/1", 3301)), object(6, lockOf("p4/1", 3400), queue(["p3/1"], [], "p4"))),
      wished(410, "p1/2"),
      written(420, "p1", object(6, lockOf("p4/1", 3400)), object(7, lockOf("p4/1", 3400), queue(["p1/2", "p3/1"], [])))
    ]
    const next = (owner: string) =>
      written(
        500,
        "p4",
        object(7, lockOf("p4/1", 3400)),
        object(8, lockOf(owner, 3500), queue([], [], owner.slice(0, 2)))
      )
    assert.deepStrictEqual(orderBroken(later), [])
    assert.deepStrictEqual(orderBroken([...later, next("p3/1")]), [])
    assert.deepStrictEqual(orderBroken([...later, next("p1/2")]), ["order"])
    const forgotten = object(9, lockOf("p1/2", 3500), queue([], [], "p1"))
    assert.include(
      brokenBy([...later, written(500, "p4", object(8, lockOf("p4/1", 3400), both), forgotten)], { holders }),
      "kept"
    )
    const expired = written(5000, "p3", object(4, lockOf("p2/1", 3301)), object(6, lockOf("p3/1", 8500)))
    assert.deepStrictEqual(orderBroken([...handed("p2/1").slice(0, -1), expired]), ["claims"])
    const heir = object(6, lockOf("p3/1", 8500), queue([], [], "p3"))
    const handedLate = written(5000, "p2", object(4, lockOf("p2/1", 3301)), heir)
    assert.deepStrictEqual(orderBroken([...handed("p2/1").slice(0, -1), handedLate]), ["claims"])
  })

  it("wants those who died together to cost one lease", () => {
    const line = { line: ["p2/1"], arrivals: [], next: undefined }
    const [held, handed] = [object(1, lockOf("p9/1", 3000), { queue: line }), object(2, lockOf("p9/2", 3000))]
    const [broken, again] = [object(3, lockOf("p1/1", 8000)), object(4, lockOf("p2/1", 12_000))]
    const history = [
      at(500, "p9", { _tag: "Crashed" }),
      at(500, "p2", { _tag: "Crashed" }),
      written(1000, "p1", held, handed),
      written(5000, "p1", handed, broken),
      written(6000, "p1", broken, { ...again, queue: { ...again.queue, next: "p2" } })
    ]
    const rulesOf = (history: ReadonlyArray<Event>) =>
      check({ ...plan, theme: "crowd" }, history).map(({ rule }) => rule)
    assert.include(rulesOf(history), "crowd")
    assert.notInclude(rulesOf(history.toSpliced(3, 1)), "crowd")
    const handedLate = written(5000, "p9", handed, { ...broken, queue: { ...line, next: "p1" } })
    assert.notInclude(rulesOf(history.toSpliced(3, 1, handedLate)), "crowd")
  })

  it("wants those who arrived to come into the line in that order", () => {
    const first = lockOf("p1/1", 4000)
    const came = (...arrivals: ReadonlyArray<string>) => ({ queue: { line: [], arrivals, next: undefined } })
    const both = object(4, first, came("p2/1", "p3/1"))
    const handed = (wish: number, owner: string, ...line: ReadonlyArray<string>) =>
      brokenBy(
        [
          ...taken,
          wished(150, "p2/1"),
          written(200, "p2", object(2, first), object(3, first, came("p2/1"))),
          wished(wish, "p3/1"),
          written(220, "p3", object(3, first, came("p2/1")), both),
          written(300, "p1", both, object(5, lockOf(owner, 3300), { queue: { line, arrivals: [], next: "p2" } }))
        ],
        { holders: ["p1", "p2", "p3", "p4"].map(holder) }
      ).filter((rule) => rule === "arrivals")
    assert.deepStrictEqual(handed(210, "p2/1", "p3/1"), [])
    assert.deepStrictEqual(handed(190, "p3/1", "p2/1"), [])
    assert.deepStrictEqual(handed(210, "p3/1", "p2/1"), ["arrivals"])
    assert.deepStrictEqual(handed(210, "p4/1", "p3/1", "p2/1"), ["arrivals"])
  })

  it("forbids to write to an object that Dex has locked", () => {
    const dex = { until: 4000 }
    const join = written(200, "p2", object(2, dex), object(3, dex))
    assert.include(brokenBy([join, ...finished(9000)]), "handsOff")
    assert.notInclude(brokenBy([{ ...join, at: 4001 }, ...finished(9000)]), "handsOff")
  })

  it("wants no lock to be left lying about", () => {
    const left = [...taken, ...released(500, "p1/1"), ...finished(9000)]
    assert.deepStrictEqual(brokenBy(left), ["leftovers"])
    const unknown = [
      taken[0]!,
      taken[1]!,
      ...granted(2000, "p1/1", 2),
      ...released(2100, "p1/1"),
      written(2101, "p1", object(2, lockOf("p1/1", 4000)), object(3)),
      ...finished(9000)
    ]
    assert.deepStrictEqual(brokenBy(unknown), ["leftovers"])
    const trouble = at(100, "p1", { _tag: "Trouble", what: "write: answer dropped" })
    assert.deepStrictEqual(brokenBy([...unknown, trouble]), [])
  })

  it("wants the server's clock to be known, and a watcher to be told the last state", () => {
    assert.deepStrictEqual(brokenBy([...sound, at(9000, "p1", { _tag: "Misjudged", off: 1 })]), ["clocks"])
    const told = (version: number) => check(plan, [...sound, at(9000, "observer", { _tag: "Told", version })])
    assert.deepStrictEqual(told(3), [])
    assert.deepStrictEqual(
      told(2).map(({ rule }) => rule),
      ["told"]
    )
  })
})

describe("a rule of sessions", () => {
  const session = "jobs/kubelock-session-1 uid-1 p1/1"
  const on = (event: Event): Event =>
    event._tag === "Wished" || event._tag === "Written" ? { ...event, on: "token" } : event
  const kept = (time: number, process: string, until: number, ended?: string, broken: ReadonlyArray<string> = []) =>
    at(time, process, { _tag: "Kept", session: ended === undefined ? session : undefined, until, ended, broken })
  const under = (until = Infinity): LockOn => ({ owner: "p1/1", until, session })
  const brokenIn = (history: ReadonlyArray<Event>) => brokenBy(history.map(on), { sessions: true })

  const held = [
    kept(50, "p1", 3000),
    wished(90, "p1/1"),
    written(100, "p1", object(1), object(2, under())),
    ...granted(110, "p1/1", 2)
  ]
  const crashed = [at(500, "p1", { _tag: "Invalid", acquisition: "p1/1" }), at(500, "p1", { _tag: "Crashed" })]
  const takenAt = (time: number, until: number) => [
    written(time, "p2", object(2, under(until)), object(3, lockOf("p2/1", 9000))),
    ...granted(time, "p2/1", 3),
    ...released(time + 10, "p2/1"),
    written(time + 20, "p2", object(3, lockOf("p2/1", 9000)), object(4)),
    at(20_000, "p2", { _tag: "Finished" })
  ]

  it("is not broken by a waiter that fences the session of a process that died, and takes its lock", () => {
    const history = [...held, wished(200, "p2/1"), ...crashed, kept(4000, "p2", 0, session), ...takenAt(4100, 4000)]
    assert.deepStrictEqual(brokenIn(history), [])
  })

  it("forbids to take a lock whose session still stands, and to end one that lives", () => {
    const alive = [...held, wished(200, "p2/1"), ...crashed]
    assert.deepStrictEqual(brokenIn([...alive, ...takenAt(4100, Infinity)]), ["theft"])
    assert.deepStrictEqual(brokenIn([...alive, kept(2900, "p2", 0, session), ...takenAt(2950, 2900)]), ["fencedEarly"])
  })

  it("lets a lock be taken from a session that lives once its holder is told, and excuses nobody before", () => {
    const takenFromUs = [
      ...held,
      kept(200, "operator", 3000, undefined, ["p1/1"]),
      wished(200, "p2/1"),
      written(300, "operator", object(2, under()), object(3)),
      written(310, "p2", object(3), object(4, lockOf("p2/1", 9000))),
      ...granted(320, "p2/1", 4),
      ...released(330, "p2/1"),
      at(20_000, "p2", { _tag: "Finished" })
    ]
    const toldAt = (time: number) =>
      [
        ...takenFromUs,
        at(time, "p1", { _tag: "Invalid", acquisition: "p1/1" }),
        at(time, "p1", { _tag: "Lost", acquisition: "p1/1", reason: "Removed" }),
        ...released(time, "p1/1"),
        at(20_000, "p1", { _tag: "Finished" })
      ].toSorted((a, b) => a.at - b.at)
    assert.deepStrictEqual(brokenIn(toldAt(250)), [])
    assert.deepStrictEqual(brokenIn(toldAt(400)), ["exclusion"])
  })

  it("forbids to renew a session that has ended", () => {
    const history = [...held, wished(200, "p2/1"), ...crashed, kept(4000, "p2", 0, session), ...takenAt(4100, 4000)]
    assert.deepStrictEqual(brokenIn([...history, kept(20_001, "p1", 30_000)]), ["renewed"])
  })

  it("wants the locks of a process that died to be taken once its session has expired", () => {
    const history = [...held, wished(200, "p2/1"), ...crashed, kept(9000, "p2", 0, session), ...takenAt(9100, 9000)]
    assert.include(brokenIn(history), "inherited")
  })

  it("wants a loss to be told, and once", () => {
    const lost = (time: number) => at(time, "p1", { _tag: "Lost", acquisition: "p1/1", reason: "Expired" })
    const invalid = at(3000, "p1", { _tag: "Invalid", acquisition: "p1/1" })
    const rest = [
      ...released(5000, "p1/1").filter(({ _tag }) => _tag !== "Invalid"),
      at(20_000, "p1", { _tag: "Finished" }),
      at(20_000, "p2", { _tag: "Finished" })
    ]
    assert.deepStrictEqual(brokenIn([...held, invalid, lost(3010), ...rest]), [])
    assert.deepStrictEqual(brokenIn([...held, invalid, ...rest]), ["toldOfLoss"])
    assert.deepStrictEqual(brokenIn([...held, invalid, lost(3010), lost(3020), ...rest]), ["toldOfLoss"])
  })
})
