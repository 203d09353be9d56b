/** One seed, from its plan to the verdict. */
import * as Effect from "effect/Effect"
import { check } from "./check.ts"
import * as electionPlan from "./electionPlan.ts"
import * as History from "./history.ts"
import type { Mutation } from "./mutations.ts"
import * as permitPlan from "./permitPlan.ts"
import * as plans from "./plan.ts"
import type { Violation } from "./safety.ts"
import * as sessionPlan from "./sessionPlan.ts"
import * as world from "./world.ts"

/** A world that has run, and the rules that it broke. */
export interface Verdict {
  readonly plan: plans.Plan
  readonly history: History.History
  readonly violations: ReadonlyArray<Violation>
}

/** Kinds of worlds: of locks, of elections, of semaphores and shared locks, and of locks under sessions. */
export const kinds = ["locks", "elections", "permits", "sessions"] as const

/** One of them. */
export type Kind = (typeof kinds)[number]

/** What the world of a seed will be like. */
export const planOf = (seed: number, kind: Kind = "locks"): plans.Plan =>
  ({ locks: plans, elections: electionPlan, permits: permitPlan, sessions: sessionPlan })[kind].make(seed)

/** Runs the world of a seed and judges it. */
export const runSeed = (seed: number, mutation?: Mutation, kind?: Kind): Effect.Effect<Verdict> => {
  const plan = planOf(seed, kind)
  return Effect.map(world.run(plan, mutation), (history) => ({ plan, history, violations: check(plan, history) }))
}

/** What went wrong in a world, for people to read: the history, who took part, and the first breach of each rule. */
export const report = ({ history, plan, violations }: Verdict): string =>
  [
    History.render(history),
    "",
    ...plan.holders.map((holder) => `${holder.name}: ${JSON.stringify(holder)}`),
    ...[...plan.dexes, ...(plan.election?.goes ?? [])].map((peer) => `${peer.name}: ${JSON.stringify(peer)}`),
    "",
    `Seed ${plan.seed}, a world of ${plan.theme}${plan.election === undefined ? "" : " with an election"}${describePermits(plan)}, requests take up to ${2 * plan.delay} ms:`,
    ...firstOfEach(violations).map(({ at, rule, what }) => `  ${(at / 1000).toFixed(3)}s  ${rule}: ${what}`)
  ].join("\n")

const describePermits = ({ permits }: plans.Plan): string =>
  permits === undefined
    ? ""
    : permits.limit === undefined
      ? " with a shared lock"
      : ` with a semaphore of ${permits.limit}`

const firstOfEach = (violations: ReadonlyArray<Violation>): ReadonlyArray<Violation> =>
  violations.filter(({ rule }, index) => violations.findIndex((other) => other.rule === rule) === index)
