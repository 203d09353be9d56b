/**
 * kubelock and Dex want one lock all the time. Dex does not queue, it polls: kubelock must leave it room. Measured against the same
 * number of Dex among themselves.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as dice from "./dice.ts"
import type * as History from "./history.ts"
import { plainHolder, plainProcess, plainWorld } from "./plainPlan.ts"
import type * as plans from "./plan.ts"
import * as world from "./world.ts"

const lasts = 10_000

// The longest wait of so few worlds is a matter of luck. Over a hundred worlds it is shorter beside kubelock in each mix.
const tolerance = 1.25

/** How long requests take, one way, and locks are held: at most, in milliseconds. And in how many worlds. */
interface Pace {
  readonly seeds: number
  readonly delay: number
  readonly holds: number
}

interface Mix {
  readonly kubelocks: number
  readonly dexes: number
}

/** A world in which each process takes the lock, holds it, releases it, and wants it again. */
const planOf = (seed: number, { dexes, kubelocks }: Mix, { delay, holds }: Pace): plans.Plan => {
  const die = dice.make(seed, "room")
  const aProcess = (name: string): plans.ProcessPlan => ({
    ...plainProcess,
    name,
    startsAt: die.between(0, 300),
    holds
  })
  const aHolder = (name: string): plans.HolderPlan => ({ ...plainHolder, ...aProcess(name), besideDex: true })
  return {
    seed,
    theme: "dex",
    ahead: 1_795_515_600_000 + die.between(0, 999),
    delay,
    grain: 10,
    ...plainWorld,
    ownerWrites: Number.MAX_SAFE_INTEGER,
    holders: Array.from({ length: kubelocks }, (_, index) => aHolder(`p${index + 1}`)),
    dexes: Array.from({ length: dexes }, (_, index) => aProcess(`dex${index + 1}`)),
    calmFrom: 0,
    busyUntil: lasts
  }
}

/** How long each acquisition waited, also if it did not end in time, and whether it got the lock. */
const waitsOf = (history: History.History) => {
  const wished = new Map<string, number>()
  const waits: Array<{ readonly isDex: boolean; readonly millis: number; readonly isGranted: boolean }> = []
  const ended = (acquisition: string, at: number, isGranted: boolean) => {
    const since = wished.get(acquisition)!
    wished.delete(acquisition)
    if (since < lasts) waits.push({ isDex: acquisition.startsWith("dex"), millis: at - since, isGranted })
  }
  for (const event of history) {
    if (event._tag === "Wished") wished.set(event.acquisition, event.at)
    if (event._tag === "WishEnded" && event.at < lasts) ended(event.acquisition, event.at, event.end._tag === "Granted")
  }
  for (const acquisition of wished.keys()) ended(acquisition, lasts, false)
  return waits
}

const mean = (values: ReadonlyArray<number>): number => values.reduce((sum, value) => sum + value, 0) / values.length

const contend = Effect.fnUntraced(function* (mix: Mix, pace: Pace) {
  const shares: Array<number> = []
  const longest: Array<number> = []
  for (let seed = 1; seed <= pace.seeds; seed++) {
    const waits = waitsOf(yield* world.run(planOf(seed, mix, pace)))
    const granted = waits.filter(({ isGranted }) => isGranted)
    shares.push(granted.filter(({ isDex }) => isDex).length / granted.length)
    longest.push(Math.max(...waits.flatMap(({ isDex, millis }) => (isDex ? [millis] : []))))
  }
  return { shares, longest: mean(longest) }
})

const paces: Readonly<Record<string, Pace>> = {
  "fast answers": { delay: 1, holds: 40, seeds: 1 },
  "fast answers and short holds": { delay: 5, holds: 0, seeds: 1 },
  "slow answers": { delay: 20, holds: 40, seeds: 20 }
}

describe("beside kubelock", () => {
  for (const [how, pace] of Object.entries(paces)) {
    const among = (dexes: number) => contend({ kubelocks: 0, dexes }, pace)
    const amongDex = Effect.runSync(Effect.cached(Effect.all({ 8: among(8), 10: among(10) })))
    for (const [kubelocks, dexes] of [
      [2, 8],
      [4, 4],
      [8, 2]
    ] as const) {
      it.live(
        `Dex has 0.6 of its share of the turns, and waits no longer than among Dex alone, with ${how}: ${kubelocks} + ${dexes}`,
        () =>
          Effect.gen(function* () {
            const { longest, shares } = yield* contend({ kubelocks, dexes }, pace)
            assert.isAtLeast(mean(shares), (0.6 * dexes) / (kubelocks + dexes))
            assert.isAtMost(longest, tolerance * (yield* amongDex)[kubelocks + dexes === 8 ? 8 : 10].longest)
          })
      )
    }
  }
})
