/** Processes and a world to which nothing happens, for tests that say only what is special. */
import type { HolderPlan, Plan, ProcessPlan } from "./plan.ts"

/** A process with a right clock, which takes the lock at once, again and again. */
export const plainProcess: Omit<ProcessPlan, "name"> = {
  skew: 0,
  rate: 1,
  serverAhead: 0,
  requestTimeout: 5000,
  startsAt: 0,
  thinks: 1,
  holds: 1,
  blows: []
}

/** Such a process that uses the library with its defaults, and always waits for the lock. */
export const plainHolder: Omit<HolderPlan, "name"> = {
  ...plainProcess,
  ttl: 10_000,
  renews: true,
  interval: 100,
  polls: 200,
  fibers: 1,
  besideDex: false,
  hasNeutralKey: false,
  tries: 0,
  hurries: 0,
  commits: 0,
  stubborn: false,
  throws: false
}

/** A world without trouble. */
export const plainWorld: Pick<
  Plan,
  "exists" | "weather" | "dating" | "ownerWrites" | "deletions" | "restarts" | "holders" | "dexes" | "vandal"
> = {
  exists: true,
  weather: [],
  dating: [],
  ownerWrites: 4000,
  deletions: [],
  restarts: [],
  holders: [],
  dexes: [],
  vandal: undefined
}
