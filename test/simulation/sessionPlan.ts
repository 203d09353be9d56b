/** What a world of locks under sessions will be like, drawn from its seed before it begins. */
import * as dice from "./dice.ts"
import { blows, type HolderPlan, names, patience, type Plan, rates, restarts, weather } from "./plan.ts"

const themes = ["calm", "crashes", "stalls", "network", "slow", "slow", "storm", "storm"] as const

/** Draws the plan of a seed. */
export const make = (seed: number): Plan => {
  const die = dice.make(seed, "sessions")
  const theme = die.pick(themes)
  const ttl = theme === "slow" ? 3000 : die.pick([3000, 10_000])
  const calmFrom = theme === "calm" ? 0 : theme === "slow" ? 16 * ttl : die.between(2 * ttl, 4 * ttl + 5000)
  const busyUntil = Math.max(calmFrom, 3 * ttl)
  const holders = names("p", die.between(2, 6))
  const isLate = theme === "storm" && die.chance(0.5)
  const withSessions = die.pick([1, 1, 0.7])
  const breaking = dice.make(seed, "breaks")
  const breaks = breaking.chance(0.6) ? [] : Array.from({ length: 3 }, () => breaking.between(0, busyUntil))

  const drawHolder = (name: string): HolderPlan => {
    const interval = die.pick([100, 200, 500])
    return {
      name,
      skew: die.chance(0.3) ? 0 : die.between(-300_000, 300_000),
      rate: die.pick(rates),
      serverAhead: 0,
      requestTimeout: theme === "slow" ? 5000 : die.pick([1000, 2000, 5000]),
      startsAt: die.between(0, ttl),
      thinks: die.pick([200, 1000, ttl]),
      holds: theme === "slow" ? 2 * ttl : die.pick([0, 500, ttl, 2 * ttl]),
      blows: blows(die, theme, ttl, calmFrom),
      ttl,
      renews: true,
      session: die.chance(withSessions),
      interval,
      polls: die.pick([50, patience / interval]),
      fibers: die.pick([1, 2, 2, 3]),
      besideDex: false,
      hasNeutralKey: true,
      tries: 0.15,
      hurries: 0.15,
      commits: 0,
      stubborn: die.chance(0.3),
      throws: die.chance(0.1)
    }
  }

  return {
    seed,
    theme,
    ahead: 1_795_515_600_000 + die.between(0, 999),
    delay: die.pick([0, 2, 20, 60]),
    exists: true,
    calmFrom,
    busyUntil,
    weather: [
      ...(theme === "slow" ? lateRenewals(calmFrom) : weather(die, theme, holders, calmFrom)),
      ...(isLate
        ? [{ from: 0, to: calmFrom, process: undefined, troubles: { "request slow": 0.1, "request late": 0.1 } }]
        : [])
    ],
    dating: [],
    ownerWrites: die.pick([4000, 30_000]),
    deletions: [],
    restarts: restarts(die, theme, calmFrom),
    holders: holders.map(drawHolder),
    dexes: [],
    vandal: undefined,
    sessions: true,
    breaks: breaks.toSorted((a, b) => a - b)
  }
}

// A renewal arrives when its session has expired, and a fence when a renewal has arrived.
const lateRenewals = (calmFrom: number): Plan["weather"] => [
  { from: 0, to: calmFrom, process: undefined, troubles: { "request slow": 0.5 } }
]
