/** What a world will be like, drawn from its seed before it begins. */
import * as ClockReading from "../../src/internal/time/clockReading.ts"
import * as dice from "./dice.ts"

// What goes wrong in passing.
const passing = [
  "request dropped",
  "answer dropped",
  "request slow",
  "answer slow",
  "409",
  "429",
  "500",
  "500 though applied"
] as const

/**
 * What can go wrong with a request. A slow one arrives, or its answer does, long after it should have; a late one when nobody
 * thinks of it any more. 401 and 403 are errors that no repetition mends, and yet they pass.
 */
export const troubles = [...passing, "request late", "401", "403"] as const

/** One of them. */
export type Trouble = (typeof troubles)[number]

/**
 * For a while, requests go wrong: each kind of trouble with its probability. Of one process, or of all. A reading, of
 * which there are many, meets it a quarter as often as a write, and a commit, of which there are few, twice as often.
 */
export interface Weather {
  readonly from: number
  readonly to: number
  readonly process: string | undefined
  readonly troubles: Readonly<Partial<Record<Trouble, number>>>
  /** How far apart the troubles of one process are at least. */
  readonly apart?: number
}

/** For a while, the answers to a process, or to all, have no `Date` (`none`), or some have one that is absurd. */
export interface Dating {
  readonly from: number
  readonly to: number
  readonly process: string | undefined
  readonly dates: "none" | "absurd"
}

/** What befalls a machine. A crash lasts for ever; `by` is for the wall clock. */
export type Blow = { readonly at: number } & (
  | { readonly _tag: "Crash" }
  | { readonly _tag: "Stall" | "Suspend" | "Partition"; readonly lasts: number }
  | { readonly _tag: "SetWall"; readonly by: number }
)

/** A process on a machine of its own. Its wall clock is off by `skew`. */
export interface ProcessPlan {
  readonly name: string
  readonly skew: number
  readonly rate: number
  /** By how much the clock of the API server that it talks to is ahead of the clock that expiries are judged by. */
  readonly serverAhead: number
  readonly requestTimeout: number
  readonly startsAt: number
  /** The longest that the process thinks between rounds, and that it holds the lock. */
  readonly thinks: number
  readonly holds: number
  readonly blows: ReadonlyArray<Blow>
}

/** A process that uses the library, and how. */
export interface HolderPlan extends ProcessPlan {
  readonly ttl: number
  readonly renews: boolean
  /** Whether it holds its locks under a session. */
  readonly session?: boolean
  readonly interval: number
  readonly polls: number
  /** How many of its fibers contend. */
  readonly fibers: number
  /** Whether it leaves the lock free now and then for Dex to see. */
  readonly besideDex: boolean
  /** Whether its key is the neutral one, not Dex's. */
  readonly hasNeutralKey: boolean
  /** How often it tries once, and does not wait. */
  readonly tries: number
  /** How often it gives up before it gets the lock. */
  readonly hurries: number
  /** How often it ends with a commit. */
  readonly commits: number
  /** Whether it works on after it lost the lock, so that only the fencing token stops it. */
  readonly stubborn: boolean
  /** Whether its logger and its tracer throw. */
  readonly throws: boolean
}

/** Somebody who spoils the queue, at intervals of `every` at most. */
export interface VandalPlan {
  readonly from: number
  readonly to: number
  readonly every: number
}

/**
 * An election: its times, as all candidates have them, and those candidates that are client-go. A leader steps down with that
 * probability.
 */
export interface ElectionPlan {
  readonly leaseDuration: number
  readonly renewDeadline: number
  readonly retryPeriod: number
  readonly goes: ReadonlyArray<GoPlan>
  readonly stepsDown: number
}

/**
 * A process with client-go. `releases`: it has `ReleaseOnCancel`. `hurries`: how often it is stopped before it leads. `signals`: when it
 * is stopped besides, as soon as it runs.
 */
export interface GoPlan extends ProcessPlan {
  readonly releases: boolean
  readonly hurries: number
  readonly signals: ReadonlyArray<number>
}

/**
 * A semaphore of that limit, or a shared lock. A contender takes up to `most` permits of a semaphore; of a shared lock it is a writer with
 * the probability of `writers`, and `changes` is how often it upgrades or downgrades. An operator breaks somebody's permits at `breaks`.
 */
export interface PermitsPlan {
  readonly limit: number | undefined
  readonly most: number
  readonly writers: number
  readonly changes: number
  readonly breaks: ReadonlyArray<number>
}

/** The world. Times are in milliseconds; delays are the longest that they usually are, one way. */
export interface Plan {
  readonly seed: number
  readonly theme: Theme
  readonly ahead: number
  readonly delay: number
  /** Into how many steps a millisecond is divided: one by default. */
  readonly grain?: number
  readonly exists: boolean
  readonly weather: ReadonlyArray<Weather>
  readonly dating: ReadonlyArray<Dating>
  /** How rarely its owner writes to the object, at most. */
  readonly ownerWrites: number
  /** When somebody deletes the object. */
  readonly deletions: ReadonlyArray<number>
  readonly restarts: ReadonlyArray<{ readonly at: number; readonly lasts: number }>
  readonly holders: ReadonlyArray<HolderPlan>
  readonly dexes: ReadonlyArray<ProcessPlan>
  readonly vandal: VandalPlan | undefined
  /** What is elected here, if the holders are candidates and hold no lock. */
  readonly election?: ElectionPlan
  /** Of what the permits are that the holders take, if they hold no lock. */
  readonly permits?: PermitsPlan
  /** Whether there are sessions, and two objects. An operator breaks one of the locks at `breaks`. */
  readonly sessions?: true
  readonly breaks?: ReadonlyArray<number>
  /** When everything that goes wrong has ended, but for the crashes. */
  readonly calmFrom: number
  /** Until when processes go for another round. */
  readonly busyUntil: number
}

/** What a world is mostly about, so that each kind of trouble is met often enough. */
const themes = ["calm", "crashes", "stalls", "network", "slow", "storm", "dex", "blips", "late", "crowd"] as const

const usualThemes = ["calm", "crashes", "stalls", "network", "slow", "storm", "dex"] as const

/** One of them. */
export type Theme = (typeof themes)[number]

/** So long waits who is patient: long enough to get the lock in the end, whatever went wrong before. */
export const patience = 150_000

/** How long an overloaded server asks to wait at most. */
export const maxRetryAfter = 2000

/** By how much a machine's clock may be off if no answer has a `Date`, less what it gains or loses in the time of a world. */
const undatedSkew = 1000

/** Draws the plan of a seed. */
export const make = (seed: number): Plan => withKeys(drawTheme(seed), dice.make(seed, "keys"))

// Some worlds are in the middle of a roll-out that changes the key.
const withKeys = (plan: Plan, die: dice.Dice): Plan =>
  plan.dexes.length > 0 || die.chance(0.75)
    ? plan
    : { ...plan, holders: plan.holders.map((holder) => ({ ...holder, hasNeutralKey: die.chance(0.5) })) }

/** Whether the processes of a world have different keys. */
export const isMixed = ({ holders }: Plan): boolean =>
  new Set(holders.map(({ hasNeutralKey }) => hasNeutralKey)).size > 1

const drawTheme = (seed: number): Plan => {
  const rare = dice.make(seed, "rare")
  const theme = rare.between(1, 100)
  if (theme <= 6) return drawBlips(seed, rare)
  if (theme <= 10) return drawLate(seed, rare)
  if (theme <= 14) return drawCrowd(seed, rare)
  return withMishaps(draw(seed), dice.make(seed, "mishaps"))
}

const draw = (seed: number): Plan => {
  const die = dice.make(seed, "plan")
  const theme = die.pick([...usualThemes, "dex" as const])
  const ttl = theme === "slow" ? die.pick([2000, 3000]) : die.pick([2000, 3000, 5000, 10_000])
  const calmFrom = theme === "calm" ? 0 : theme === "slow" ? 10 * ttl : die.between(2 * ttl, 4 * ttl + 5000)
  const busyUntil = Math.max(calmFrom, 3 * ttl)
  const vandal = drawVandal(dice.make(seed, "vandal"), busyUntil)
  const holderNames = names("p", theme === "dex" ? die.between(2, 5) : die.between(2, 8))
  const dexNames = theme === "dex" ? names("dex", die.between(1, 3)) : []
  const dexTtl = 10_000

  const drawProcess = (name: string, ttl: number): ProcessPlan => ({
    name,
    skew: die.chance(0.3) ? 0 : die.between(-300_000, 300_000),
    rate: die.pick([1, slowest, fastest, slowest + (fastest - slowest) * die.random.nextDoubleUnsafe()]),
    serverAhead: 0,
    requestTimeout: theme === "slow" ? 5000 : die.pick([1000, 2000, 5000]),
    startsAt: die.between(0, ttl),
    thinks: die.pick([200, 1000, ttl]),
    holds: theme === "slow" ? 2 * ttl : die.pick([0, 500, ttl, 2 * ttl]),
    blows: blows(die, theme, ttl, calmFrom)
  })

  const drawHolder = (name: string): HolderPlan => ({
    ...drawProcess(name, ttl),
    ttl,
    renews: theme === "slow" ? die.chance(0.3) : die.chance(0.8),
    interval: die.pick([100, 200, 500]),
    polls: die.pick([10, 50, 100]),
    fibers: die.pick([1, 1, 2, 3]),
    besideDex: theme === "dex",
    hasNeutralKey: false,
    tries: 0.2,
    hurries: 0.15,
    commits: theme === "network" || theme === "storm" ? 0.5 : 0.2,
    stubborn: die.chance(0.3),
    throws: false
  })

  // One of those who wait beside a vandal is patient.
  const drawHolders = (): ReadonlyArray<HolderPlan> => {
    const [first, ...others] = holderNames.map(drawHolder)
    return [vandal === undefined ? first! : { ...first!, polls: patience / first!.interval }, ...others]
  }

  const drawDex = (name: string): ProcessPlan => ({
    ...drawProcess(name, dexTtl),
    skew: die.pick([0, die.between(-2000, 2000), ...Array.from({ length: 2 }, () => die.between(-60_000, 60_000))]),
    requestTimeout: 15_000,
    holds: die.pick([1000, 5000, 15_000])
  })

  return {
    seed,
    theme,
    ahead: 1_795_515_600_000 + die.between(0, 999),
    delay: die.pick([0, 2, 20, 60]),
    exists: theme === "dex" || die.chance(0.7),
    calmFrom,
    busyUntil,
    weather: weather(die, theme, holderNames, calmFrom),
    dating: [],
    ownerWrites: 4000,
    deletions: [],
    restarts: restarts(die, theme, calmFrom),
    holders: drawHolders(),
    dexes: dexNames.map(drawDex),
    vandal
  }
}

// A lock with a long lease that goes from hand to hand, and now and then one request that goes wrong.
const drawBlips = (seed: number, die: dice.Dice): Plan => {
  const ttl = 60_000
  const lasts = 40_000
  return {
    seed,
    theme: "blips",
    ahead: 1_795_515_600_000 + die.between(0, 999),
    delay: die.pick([0, 2, 20]),
    exists: true,
    calmFrom: lasts,
    busyUntil: lasts,
    weather: [
      {
        from: 0,
        to: lasts,
        process: undefined,
        troubles: Object.fromEntries(blips.map((kind) => [kind, die.pick([0.2, 0.4])])),
        apart: 6000
      }
    ],
    dating: [],
    ownerWrites: 4000,
    deletions: [],
    restarts: [],
    holders: Array.from({ length: die.between(2, 4) }, (_, index) => ({
      name: `p${index + 1}`,
      skew: die.between(-300_000, 300_000),
      rate: die.pick([slowest, 1, fastest]),
      serverAhead: 0,
      requestTimeout: 1000,
      startsAt: die.between(0, 1000),
      thinks: die.pick([200, 1000]),
      holds: die.pick([2000, 10_000]),
      blows: [],
      ttl,
      renews: die.chance(0.9),
      interval: 500,
      polls: patience / 500,
      fibers: 1,
      besideDex: false,
      hasNeutralKey: false,
      tries: 0.2,
      hurries: 0.15,
      commits: 0.2,
      stubborn: die.chance(0.3),
      throws: die.chance(0.2)
    })),
    dexes: [],
    vandal: undefined
  }
}

// An object that hardly anybody writes to, and writes that arrive when whoever sent them has given up.
const drawLate = (seed: number, die: dice.Dice): Plan => {
  const { holders, ...plan } = drawBlips(seed, die)
  const ttl = die.pick([2000, 5000])
  return {
    ...plan,
    theme: "late",
    ownerWrites: 60_000,
    weather: [
      {
        from: 0,
        to: plan.calmFrom,
        process: undefined,
        troubles: { "request slow": die.pick([0.2, 0.4]), "request late": die.pick([0.1, 0.3]) }
      }
    ],
    holders: holders.slice(0, 2).map(hurried(die, ttl))
  }
}

// Many wait for the lock, and most of them die in the same moment, twice.
const drawCrowd = (seed: number, die: dice.Dice): Plan => {
  const { holders, ...plan } = drawBlips(seed, die)
  const deaths = [die.between(4000, 8000), die.between(15_000, 20_000)]
  const ttl = die.pick([3000, 10_000])
  return {
    ...plan,
    theme: "crowd",
    weather: [],
    holders: Array.from({ length: die.between(6, 12) }, (_, index) => {
      const dies = index === 0 ? undefined : die.pick([0, 0, 1, undefined])
      return {
        ...holders[0]!,
        name: `p${index + 1}`,
        skew: die.between(-300_000, 300_000),
        ttl,
        renews: die.chance(0.9),
        holds: die.pick([0, 500, 2000]),
        blows: dies === undefined ? [] : [{ _tag: "Crash", at: deaths[dies]! }]
      }
    })
  }
}

const hurried =
  (die: dice.Dice, ttl: number) =>
  (holder: HolderPlan): HolderPlan => ({
    ...holder,
    ttl,
    requestTimeout: 5000,
    thinks: 10_000,
    holds: 500,
    hurries: 0.8,
    interval: die.pick([200, 500]),
    polls: 20
  })

const blips = ["429", "500", "500 though applied"] as const

// What is rare befalls worlds of all themes, besides what they are about.
const withMishaps = (plan: Plan, die: dice.Dice): Plan => {
  const { calmFrom, dexes, exists, holders, theme } = plan
  const span = () => {
    const from = die.between(0, Math.max(0, calmFrom - 1))
    return { from, to: die.between(from, calmFrom), process: die.chance(0.5) ? die.pick(holders).name : undefined }
  }
  const isHurried = (theme === "network" || theme === "storm") && die.chance(0.5)
  const weather = [
    ...(theme !== "calm" && die.chance(0.3)
      ? [{ ...span(), troubles: { "401": die.pick([0.1, 0.3]), "403": die.pick([0.1, 0.2, 0.4]) } }]
      : []),
    ...(isHurried
      ? [{ ...span(), troubles: { "request slow": die.pick([0, 0.3]), "request late": die.pick([0.1, 0.3]) } }]
      : [])
  ]
  const dates = die.pick(["as they are", "as they are", "none", "none for ever", "absurd", "two servers"])
  const dating = ((): ReadonlyArray<Dating> => {
    switch (dates) {
      case "none":
        return [{ ...span(), dates: "none" }]
      case "none for ever":
        return [{ from: 0, to: Infinity, process: die.chance(0.5) ? die.pick(holders).name : undefined, dates: "none" }]
      case "absurd":
        return [{ ...span(), dates: "absurd" }]
      default:
        return []
    }
  })()
  const isUndated = dating.some(({ dates }) => dates === "none")
  const jumps = theme !== "calm" && dating.length === 0 && die.chance(0.3)
  const blowsTo = ({ blows }: HolderPlan): ReadonlyArray<Blow> => {
    if (isUndated) return blows.filter(({ _tag }) => _tag !== "SetWall")
    if (!jumps || die.chance(0.5)) return blows
    const by = die.pick([1, 1, -1]) * die.between(3_600_000, 10_800_000)
    return apart([...blows, { _tag: "SetWall", at: die.between(0, Math.max(0, calmFrom - 1)), by }])
  }
  const befallen = (holder: HolderPlan): HolderPlan => ({
    ...holder,
    throws: die.chance(0.1),
    hurries: isHurried ? 0.5 : holder.hurries,
    serverAhead: dates === "two servers" && die.chance(0.5) ? ClockReading.maxDrift * holder.ttl : 0,
    skew: isUndated ? die.between(-undatedSkew, undatedSkew) : holder.skew,
    blows: blowsTo(holder)
  })
  const deletes = !exists && dexes.length === 0 && theme !== "calm" && die.chance(0.6)
  return {
    ...plan,
    weather: [...plan.weather, ...weather],
    dating,
    deletions: deletes ? Array.from({ length: die.between(1, 3) }, () => die.between(0, calmFrom)) : [],
    holders: holders.map(befallen)
  }
}

const drawVandal = (die: dice.Dice, busyUntil: number): VandalPlan | undefined =>
  die.chance(0.3) ? { from: die.pick([0, 2000]), to: busyUntil, every: die.pick([300, 1000, 3000]) } : undefined

// Clocks differ in rate by at most maxDrift, whichever of the two is the slow one.
const fastest = 1 + ClockReading.maxDrift
const slowest = 1 / fastest

/** The rates of clocks that differ the most, and one in between. */
export const rates: ReadonlyArray<number> = [slowest, 1, fastest]

/** So many names in a row. */
export const names = (prefix: string, count: number): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, index) => `${prefix}${index + 1}`)

/** When the server restarts. */
export const restarts = (die: dice.Dice, theme: Theme, calmFrom: number): Plan["restarts"] =>
  (theme === "network" || theme === "storm") && die.chance(0.6)
    ? [{ at: die.between(0, calmFrom - 1000), lasts: die.between(1, 1000) }]
    : []

/** What befalls a machine until all is calm. `ttl` bounds how long that lasts. */
export const blows = (die: dice.Dice, theme: Theme, ttl: number, calmFrom: number): ReadonlyArray<Blow> => {
  const blow = (): Blow => {
    const kind = die.pick(blowsOf[theme])
    const at = die.between(0, Math.max(0, calmFrom - 1))
    switch (kind) {
      case "Crash":
        return { _tag: kind, at }
      case "SetWall":
        return { _tag: kind, at, by: die.between(-60_000, 60_000) }
      default:
        return { _tag: kind, at, lasts: Math.min(calmFrom - at, die.between(50, Math.floor(1.5 * ttl))) }
    }
  }
  const drawn = Array.from({ length: die.chance(0.6) ? die.between(0, 3) : 0 }, () =>
    blowsOf[theme].length === 0 ? undefined : blow()
  ).filter((blow) => blow !== undefined)
  return apart(drawn)
}

const blowsOf: Readonly<Record<Theme, ReadonlyArray<Blow["_tag"]>>> = {
  calm: [],
  crashes: ["Crash"],
  stalls: ["Stall", "Suspend", "SetWall"],
  network: ["Partition"],
  slow: ["Stall", "Partition"],
  storm: ["Crash", "Stall", "Suspend", "Partition", "SetWall"],
  dex: ["Stall", "Partition", "Crash"],
  blips: [],
  late: [],
  crowd: []
}

// One blow at a time. A machine that slept while its wall clock was set back could not know that it slept at all.
const apart = (drawn: ReadonlyArray<Blow>): ReadonlyArray<Blow> => {
  const sleeps = drawn.some(({ _tag }) => _tag === "Suspend")
  let free = 0
  return drawn
    .toSorted((a, b) => a.at - b.at)
    .filter((blow) => {
      if (blow.at < free || (sleeps && blow._tag === "SetWall")) return false
      free = blow._tag === "Crash" ? Infinity : blow.at + ("lasts" in blow ? blow.lasts : 0) + 1
      return true
    })
}

/** When requests of these processes, or of all, go wrong. */
export const weather = (
  die: dice.Dice,
  theme: Theme,
  names: ReadonlyArray<string>,
  calmFrom: number
): ReadonlyArray<Weather> => {
  const kinds = troublesOf[theme]
  if (kinds.length === 0) return []
  if (theme === "slow") return [{ from: 0, to: calmFrom, process: undefined, troubles: chances(die, kinds) }]
  return Array.from({ length: die.between(1, 3) }, () => {
    const from = die.between(0, calmFrom - 1)
    return {
      from,
      to: die.between(from, calmFrom),
      process: die.chance(0.3) ? die.pick(names) : undefined,
      troubles: chances(
        die,
        kinds.filter(() => die.chance(0.6))
      )
    }
  })
}

const chances = (die: dice.Dice, kinds: ReadonlyArray<Trouble>) =>
  Object.fromEntries(kinds.map((kind) => [kind, die.pick([0.05, 0.2, 0.4])]))

const troublesOf: Readonly<Record<Theme, ReadonlyArray<Trouble>>> = {
  calm: [],
  crashes: [],
  stalls: [],
  network: passing,
  slow: ["request slow", "answer slow"],
  storm: passing,
  blips,
  late: ["request slow", "request late"],
  crowd: [],
  dex: ["request dropped", "answer dropped", "request slow", "answer slow", "409"]
}
