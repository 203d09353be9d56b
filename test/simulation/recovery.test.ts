/**
 * Sixteen processes want one lock all the time, while no request is answered for longer than their leases last, answers are lost and
 * processes crash. Then all is well: each of the living must have the lock again within the bound by which the chaos on real servers is
 * judged.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as settings from "../chaos/settings.ts"
import * as dice from "./dice.ts"
import type * as History from "./history.ts"
import { plainHolder, plainWorld } from "./plainPlan.ts"
import type * as plans from "./plan.ts"
import * as world from "./world.ts"

/** How many worlds to play for each kind of lock, and the seed of the first. */
const worlds = Number(process.env["KUBELOCK_RECOVERY_WORLDS"] ?? 2)
const firstSeed = Number(process.env["KUBELOCK_RECOVERY_SEED"] ?? 1)

const contenders = 16
const calmFrom = 30_000
const bound = settings.recoveryOf(contenders)

const kinds: Readonly<Record<string, plans.PermitsPlan | undefined>> = {
  "a lock": undefined,
  "a semaphore of 2": { limit: 2, most: 2, writers: 0, changes: 0, breaks: [] },
  "a shared lock": { limit: undefined, most: 1, writers: settings.takesAll, changes: 0, breaks: [] }
}

const planOf = (seed: number, permits: plans.PermitsPlan | undefined): plans.Plan => {
  const die = dice.make(seed, "recovery")
  const holders = Array.from({ length: contenders }, (_, index): plans.HolderPlan => {
    const befallen = (): plans.Blow => {
      const lasts = die.between(1000, 5000)
      const at = die.between(0, calmFrom - lasts)
      return die.chance(0.2) ? { _tag: "Crash", at } : { _tag: die.pick(["Stall", "Suspend", "Partition"]), at, lasts }
    }
    return {
      ...plainHolder,
      name: `p${index + 1}`,
      ttl: settings.ttl,
      requestTimeout: settings.requestTimeout,
      polls: settings.patience / plainHolder.interval,
      startsAt: die.between(0, 1000),
      holds: die.pick([100, 500]),
      blows: die.chance(0.5) ? [befallen()] : []
    }
  })
  // Of all requests, one half never arrives, and the answer to the other half never comes.
  const silent = { "request dropped": 0.5, "answer dropped": 1 }
  const outage = die.between(2 * settings.ttl, 15_000)
  return {
    seed,
    theme: "storm",
    ahead: 1_795_515_600_000 + die.between(0, 999),
    delay: die.pick([2, 20, 60]),
    ...plainWorld,
    weather: [
      {
        from: 2000,
        to: calmFrom - outage,
        process: undefined,
        troubles: { "answer dropped": 0.2, "500": 0.1, "429": 0.1 }
      },
      { from: calmFrom - outage, to: calmFrom, process: undefined, troubles: silent }
    ],
    holders,
    ...(permits === undefined ? {} : { permits }),
    calmFrom,
    busyUntil: calmFrom + bound
  }
}

/** When each process that lives got the lock for the first time once all was well, in milliseconds after that. */
const recoveries = (plan: plans.Plan, history: History.History): ReadonlyMap<string, number> => {
  const crashed = new Set(history.flatMap((event) => (event._tag === "Crashed" ? [event.process] : [])))
  const first = new Map<string, number>()
  for (const { name } of plan.holders) if (!crashed.has(name)) first.set(name, Number.POSITIVE_INFINITY)
  for (const event of history) {
    if (event._tag !== "WishEnded" || event.end._tag !== "Granted" || event.at < calmFrom) continue
    if (first.get(event.process) === Number.POSITIVE_INFINITY) first.set(event.process, event.at - calmFrom)
  }
  return first
}

describe("after all faults", () => {
  for (const [kind, permits] of Object.entries(kinds)) {
    it.live(`each of ${contenders} processes has ${kind} again within ${bound / 1000} s`, () =>
      Effect.gen(function* () {
        for (let seed = firstSeed; seed < firstSeed + worlds; seed++) {
          const plan = planOf(seed, permits)
          const after = recoveries(plan, yield* world.run(plan))
          assert.isAbove(after.size, 0)
          for (const [process, millis] of after) assert.isAtMost(millis, bound, `${process}, with the seed ${seed}`)
        }
      })
    )
  }
})
