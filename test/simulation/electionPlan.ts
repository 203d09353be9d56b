/** What a world of an election will be like, drawn from its seed before it begins. */
import * as Duration from "effect/Duration"
import { requestTimeout } from "../../src/testing/clientGo/LeaderElector.ts"
import * as dice from "./dice.ts"
import {
  blows,
  type GoPlan,
  type HolderPlan,
  names,
  type Plan,
  type ProcessPlan,
  rates,
  restarts,
  weather
} from "./plan.ts"

/** What such a world is mostly about. In a `late` one a client-go releases what it has lost in its sleep. */
const themes = ["calm", "crashes", "stalls", "network", "slow", "storm", "late"] as const

/** Draws the plan of a seed. */
export const make = (seed: number): Plan => {
  const die = dice.make(seed, "election")
  const theme = die.pick(themes)
  const times = die.pick([
    { leaseDuration: 15_000, renewDeadline: 10_000, retryPeriod: 2000 },
    { leaseDuration: 6000, renewDeadline: 4000, retryPeriod: 1000 }
  ])
  const { leaseDuration, renewDeadline } = times
  const calmFrom = theme === "calm" ? 0 : die.between(2 * leaseDuration, 5 * leaseDuration)
  const busyUntil = Math.max(calmFrom, 3 * leaseDuration)
  const timeout = Duration.toMillis(requestTimeout(Duration.millis(renewDeadline)))
  const ours = names("p", die.between(1, 4))
  const goes = names("go", die.between(0, 3))

  const drawProcess = (name: string): ProcessPlan => ({
    name,
    skew: die.chance(0.2) ? 0 : die.between(-600_000, 600_000),
    rate: die.pick(rates),
    serverAhead: 0,
    requestTimeout: timeout,
    startsAt: die.between(0, leaseDuration),
    thinks: die.pick([200, 1000, leaseDuration]),
    holds: die.pick([500, leaseDuration, 3 * leaseDuration]),
    blows: blows(die, theme, leaseDuration, calmFrom)
  })

  const drawCandidate = (name: string): HolderPlan => ({
    ...drawProcess(name),
    ttl: leaseDuration,
    renews: true,
    interval: times.retryPeriod,
    polls: Number.POSITIVE_INFINITY,
    fibers: die.pick([1, 1, 2]),
    besideDex: false,
    hasNeutralKey: false,
    tries: 0,
    hurries: die.pick([0, 0.3]),
    commits: 0,
    stubborn: die.chance(0.3),
    throws: false
  })

  // A client-go that is stopped the moment it comes back from a long sleep releases what may be another's by then.
  const drawGo = (name: string): GoPlan => {
    const process = drawProcess(name)
    const isStopped = die.chance(0.7)
    return {
      ...process,
      releases: die.chance(0.7),
      hurries: die.pick([0, 0.3]),
      signals: isStopped ? process.blows.flatMap((blow) => ("lasts" in blow ? [blow.at + blow.lasts] : [])) : []
    }
  }

  // It leads from the start, and sleeps for longer than its lease.
  const drawSleeper = (): GoPlan => {
    const at = die.between(500, leaseDuration)
    const lasts = die.between(Math.round(1.05 * leaseDuration), 2 * leaseDuration)
    return {
      ...drawProcess("go0"),
      startsAt: 0,
      thinks: die.pick([1, leaseDuration]),
      holds: 10 * leaseDuration,
      blows: [{ _tag: die.pick(["Stall", "Suspend"]), at, lasts }],
      releases: true,
      hurries: 0,
      signals: [at + lasts]
    }
  }
  const sleepers = theme === "late" ? [drawSleeper()] : []

  return {
    seed,
    theme,
    ahead: 1_795_515_600_000 + die.between(0, 999),
    delay: die.pick([0, 2, 20, 60]),
    exists: die.chance(0.3),
    calmFrom,
    busyUntil,
    weather: weather(die, theme, [...ours, ...goes], calmFrom),
    dating: [],
    ownerWrites: die.pick([4000, 30_000]),
    deletions:
      theme === "calm" || die.chance(0.7)
        ? []
        : Array.from({ length: die.between(1, 3) }, () => die.between(0, calmFrom)),
    restarts: restarts(die, theme, calmFrom),
    holders: ours.map(drawCandidate),
    dexes: [],
    vandal: undefined,
    election: { ...times, goes: [...goes.map(drawGo), ...sleepers], stepsDown: die.pick([0, 0.3]) }
  }
}
