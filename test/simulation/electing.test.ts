import { assert, describe, it } from "@effect/vitest"
import { check } from "./check.ts"
import type { Event, Happening, LockOn, Version } from "./history.ts"
import { plainHolder, plainProcess, plainWorld } from "./plainPlan.ts"
import type { Plan } from "./plan.ts"

const plan: Plan = {
  seed: 0,
  theme: "calm",
  ahead: 0,
  delay: 10,
  ...plainWorld,
  holders: [{ ...plainHolder, name: "p1", ttl: 15_000, interval: 2000, polls: Infinity }],
  election: {
    leaseDuration: 15_000,
    renewDeadline: 10_000,
    retryPeriod: 2000,
    stepsDown: 0,
    goes: [{ ...plainProcess, name: "go1", releases: false, hurries: 0, signals: [] }]
  },
  calmFrom: 0,
  busyUntil: 0
}

const at = (at: number, process: string, happening: Happening): Event => ({ ...happening, at, process })

const lease = (version: number, lock?: LockOn, leaseTransitions = 0): Version => ({
  version,
  lock,
  second: undefined,
  queue: { line: [], arrivals: [], next: undefined },
  others: { "label app.kubernetes.io/managed-by": "kubelock" },
  written: undefined,
  record: { acquireTime: "", renewTime: "", leaseDurationSeconds: 15, leaseTransitions }
})

const heldBy = (owner: string, from: number): LockOn => ({ owner, until: from + 15_000, unseen: from + 15_000 })

const written = (time: number, process: string, before: Version, after: Version) =>
  at(time, process, { _tag: "Written", verb: "write", before, after })

const ours = (time: number, version: number) => [
  at(time, "p1", { _tag: "WishEnded", acquisition: "p1/1", end: { _tag: "Granted", turn: "p1/1" } }),
  at(time, "p1", { _tag: "Valid", acquisition: "p1/1", token: BigInt(version) << 20n })
]

/** Led by go1 since 100 ms, and by p1 since it saw the Lease unchanged for long enough. `stops`: when go1 stops. */
const taken = (stops: number, takenAt = 15_200, transitions = 1): ReadonlyArray<Event> => {
  const [first, second] = [lease(2, heldBy("go1/1", 90)), lease(3, heldBy("p1/1", takenAt), transitions)]
  return [
    at(0, "go1", { _tag: "Wished", acquisition: "go1/1" }),
    at(10, "p1", { _tag: "Wished", acquisition: "p1/1" }),
    written(90, "go1", lease(1), first),
    at(100, "go1", { _tag: "WishEnded", acquisition: "go1/1", end: { _tag: "Granted", turn: "" } }),
    written(takenAt, "p1", first, second),
    ...ours(takenAt, 3),
    at(stops, "go1", { _tag: "Released", acquisition: "go1/1" }),
    at(19_000, "p1", { _tag: "Releasing", acquisition: "p1/1" }),
    at(19_000, "p1", { _tag: "Invalid", acquisition: "p1/1" }),
    at(19_000, "p1", { _tag: "Released", acquisition: "p1/1" }),
    at(19_100, "p1", { _tag: "Finished" })
  ].toSorted((a, b) => a.at - b.at)
}

const broken = (history: ReadonlyArray<Event>) =>
  check(plan, history)
    .map(({ rule }) => rule)
    .filter((rule) => ["beside", "handsOffGo", "losses", "record"].includes(rule))

describe("the rules of elections", () => {
  it("let a client-go lead on for as long as it may after its last renewal, and no longer", () => {
    assert.deepStrictEqual(broken(taken(17_090)), [])
    assert.deepStrictEqual(broken(taken(17_110)), ["beside"])
  })

  it("let nobody take the Lease of a client-go before it was seen unchanged for its duration", () => {
    assert.deepStrictEqual(broken(taken(15_080, 15_080)), ["handsOffGo"])
    assert.deepStrictEqual(broken(taken(15_090, 15_090)), [])
  })

  it("want a leader to be told that it leads no more", () => {
    const unaware = taken(15_200).flatMap((event) =>
      event._tag === "Releasing" || event._tag === "Released" ? [] : [event]
    )
    assert.deepStrictEqual(broken([...unaware, at(30_000, "go1", { _tag: "Finished" })]).includes("losses"), true)
    const told = at(19_000, "p1", { _tag: "Lost", acquisition: "p1/1", reason: "Expired" })
    assert.notInclude(broken([...unaware, told, at(30_000, "go1", { _tag: "Finished" })]), "losses")
  })

  it("want a term to count a transition", () => {
    assert.deepStrictEqual(broken(taken(15_200, 15_200, 0)), ["record"])
  })
})
