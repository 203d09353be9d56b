/** The figures of the election with default timings: hand-overs, take-overs, and requests. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as LeaderElector from "../../src/testing/clientGo/LeaderElector.ts"
import type { Kind, Timings } from "./candidate.ts"
import { names } from "./report.ts"
import * as scenarios from "./scenarios.ts"
import { type House, longestGap, play } from "./stage.ts"

/** The timings of Kubernetes' own components. */
const defaults: Timings = {
  leaseDuration: Duration.toMillis(LeaderElector.defaults.leaseDuration),
  renewDeadline: Duration.toMillis(LeaderElector.defaults.renewDeadline),
  retryPeriod: Duration.toMillis(LeaderElector.defaults.retryPeriod)
}

/** How many pairs are measured side by side. */
const pairs = 6

/** Hand-overs and take-overs between two candidates of these kinds, in both directions. */
export const handOvers = Effect.fnUntraced(function* (house: House, kinds: readonly [Kind, Kind]) {
  const measure = (how: "released" | "crashed", rounds: number) =>
    Effect.forEach(
      Array.from({ length: pairs }, (_, pair) => pair),
      (pair) =>
        play(
          house,
          { lease: `${kinds.join("-")}-${how}-${pair}`, timings: defaults, leadsOn: () => 0, writes: false },
          // Half of the pairs begin with the other kind.
          (stage) => scenarios.relay(stage, pair % 2 === 0 ? kinds : [kinds[1], kinds[0]], rounds, how)
        ),
      { concurrency: "unbounded" }
    )
  const seen = [...(yield* measure("released", 6)), ...(yield* measure("crashed", 2))]
  return { handOvers: seen.flatMap(({ handOvers }) => handOvers), unmet: seen.flatMap(({ unmet }) => unmet) }
})

const followers = 4

/** Requests an hour of a leader and of a follower of a kind, counted by the API server for so many seconds each. */
export const requests = Effect.fnUntraced(function* (house: House, kind: Kind, seconds: number) {
  const counted: Array<Readonly<Record<string, number>>> = []
  const count = Effect.gen(function* () {
    const before = yield* leaseRequests(house)
    yield* Effect.sleep(seconds * 1000)
    const after = yield* leaseRequests(house)
    counted.push(Object.fromEntries(Object.entries(after).map(([verb, total]) => [verb, total - (before[verb] ?? 0)])))
  })
  yield* count
  const { unmet } = yield* play(
    house,
    { lease: `${kind}-requests`, timings: defaults, leadsOn: () => 0, writes: false },
    (stage) =>
      Effect.gen(function* () {
        const leader = yield* stage.start(kind)
        yield* stage.leads(leader, longestGap(defaults, "released"))
        // The first renewals belong to the acquisition.
        yield* Effect.sleep(5000)
        yield* count
        const waiting = yield* Effect.forEach(Array.from({ length: followers }), () => stage.start(kind))
        yield* Effect.forEach(waiting, stage.waits)
        // Each joins, watches for its turn, and then the Lease itself. The first of these watches must have ended.
        yield* Effect.sleep(15_000)
        yield* count
      })
  )
  const [idle, alone, together] = counted
  if (idle === undefined || alone === undefined || together === undefined) return unmet
  return [
    `${names[kind]}: requests an hour of a leader: ${hourly(alone, idle, seconds)}`,
    `${names[kind]}: requests an hour of a follower: ${hourly(together, alone, seconds * followers)}`
  ]
})

const hourly = (
  counted: Readonly<Record<string, number>>,
  before: Readonly<Record<string, number>>,
  seconds: number
): string => {
  const each = Object.entries(counted)
    .map(([verb, count]) => [verb, ((count - (before[verb] ?? 0)) * 3600) / seconds] as const)
    // One more or less at the ends of the time in which the leader's were counted.
    .filter(([, count]) => count > 0)
  const total = each.reduce((sum, [, count]) => sum + count, 0)
  return `${total.toFixed(0)} (${each.map(([verb, count]) => `${verb} ${count.toFixed(0)}`).join(", ") || "none"})`
}

/** The requests for Leases by their verbs since the server started. A watch counts when it ends. */
const leaseRequests = ({ api }: House) =>
  Effect.map(Effect.orDie(api.request("GET", "/metrics")), ({ body }) => {
    const counts: Record<string, number> = {}
    for (const [, labels, value] of (body.text ?? "").matchAll(/^apiserver_request_total\{(.*)\} (\S+)$/gm)) {
      if (!labels!.includes('resource="leases"')) continue
      const verb = /verb="([^"]*)"/.exec(labels!)?.[1] ?? "?"
      counts[verb] = (counts[verb] ?? 0) + Number(value)
    }
    return counts
  })
