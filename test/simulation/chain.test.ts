/**
 * A process dies with the lock, and Dex waits beside kubelock. A Dex that breaks the lock keeps it until it expires again, so
 * kubelock must break it first. The clocks of all Dex agree with the server's: nobody can be quicker than a Dex whose clock is ahead.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { check } from "./check.ts"
import * as dice from "./dice.ts"
import type * as History from "./history.ts"
import { plainHolder, plainProcess, plainWorld } from "./plainPlan.ts"
import * as plans from "./plan.ts"
import { report } from "./run.ts"
import * as world from "./world.ts"

const seeds = 30

/** A world in which the victim takes the lock first and crashes, and all others wait for it. */
const planOf = (seed: number, dexes: number, victim: "dex" | "kubelock"): plans.Plan => {
  const die = dice.make(seed, "chain")
  const crash = [{ _tag: "Crash", at: 300 }] as const
  const aProcess = (name: string): plans.ProcessPlan => ({
    ...plainProcess,
    name,
    startsAt: die.between(400, 3000),
    thinks: 200,
    holds: 50
  })
  const aHolder = (name: string): plans.HolderPlan => ({
    ...plainHolder,
    ...aProcess(name),
    skew: die.between(-60_000, 60_000),
    rate: die.pick(plans.rates),
    interval: 500,
    polls: plans.patience / 500,
    besideDex: true,
    tries: 0.2
  })
  // The first to come holds the lock for as long as it lives.
  const doomed = <A extends plans.ProcessPlan>(plan: A): A => ({
    ...plan,
    startsAt: 0,
    thinks: 1,
    holds: 100_000,
    blows: crash
  })
  return {
    seed,
    theme: "dex",
    ahead: 1_795_515_600_000 + die.between(0, 999),
    delay: 1,
    grain: 1000,
    ...plainWorld,
    holders: [...(victim === "kubelock" ? [doomed(aHolder("victim"))] : []), aHolder("p1")],
    dexes: [
      ...(victim === "dex" ? [doomed(aProcess("victim"))] : []),
      ...Array.from({ length: dexes }, (_, index) => aProcess(`dex${index + 1}`))
    ],
    calmFrom: 400,
    busyUntil: 5000
  }
}

/** The processes that broke the lock at each expiry, in order, up to the first of ours. */
const breakersOf = (history: History.History): ReadonlyArray<string> => {
  const breakers = history.flatMap((event) =>
    event._tag === "Written" && event.before?.lock !== undefined && event.before.lock.until < event.at
      ? [event.process]
      : []
  )
  const first = breakers.findIndex((name) => name.startsWith("p"))
  return first < 0 ? breakers : breakers.slice(0, first + 1)
}

describe("after a crash beside Dex", () => {
  for (const dexes of [1, 4, 8]) {
    for (const victim of ["dex", "kubelock"] as const) {
      it.live(
        `a ${victim} that died with the lock costs nearly always one expiry, and never more than two, with ${dexes} Dex waiting`,
        () =>
          Effect.gen(function* () {
            let expiries = 0
            let chains = 0
            for (let seed = 1; seed <= seeds; seed++) {
              const plan = planOf(seed, dexes, victim)
              const history = yield* world.run(plan)
              const verdict = { plan, history, violations: check(plan, history) }
              if (verdict.violations.length > 0) assert.fail(report(verdict))
              const breakers = breakersOf(history)
              if (breakers.length === 0) continue
              assert.strictEqual(breakers.at(-1), "p1", report(verdict))
              assert.isAtMost(breakers.length, 2, report(verdict))
              expiries += breakers.length
              chains++
            }
            assert.isAtLeast(chains, seeds * 0.9)
            assert.isAtLeast(chains / expiries, 0.9)
          })
      )
    }
  }
})
