/** What a process remembers of the lines that it was in, from one release to the next acquisition or release. */
import type { Leaving } from "../../PermitProtocol.ts"
import * as boundedMap from "../boundedMap.ts"
import type { Start } from "../protocol/acquisitionState.ts"
import * as fairness from "../protocol/fairness.ts"
import * as pace from "../protocol/pace.ts"
import type { Outcome } from "../protocol/release.ts"
import { maxRemembered } from "./localQueue.ts"

/**
 * For how long a contender reckons with a line that was in use when its process released, in milliseconds: it joins without a look. If
 * nobody is in the line any more, that costs a request. Our choice.
 */
export const inUseFor = 1000

/** A release that was answered. Times are in milliseconds: `age` is how long before it was sent its object was seen. */
export interface Released {
  readonly sentAt: number
  readonly answeredAt: number
  readonly age: number
  readonly outcome: Outcome
}

/** The memory. `line` is the name of a line. Times are in milliseconds on the monotonic clock. */
export interface LineMemory {
  readonly note: (line: string, released: Released) => void
  /** What the last release showed of the line: a version in which nobody is in it, or that it is in use. It serves once. */
  readonly recall: (line: string, now: number) => Pick<Start, "freeVersion" | "isInUse">
  /** What a release reckons with whose object was seen so long ago. */
  readonly paceOf: (line: string, age: number) => Required<Pick<Leaving, "passed" | "isHurried">>
  /** The budget of a lease that begins, and what was spent of it when it ended and nobody waited. */
  readonly nextBudget: (id: string, now: number, contended: boolean) => fairness.Budget
  readonly spend: (id: string, budget: fairness.Budget, now: number) => void
}

/** Makes the memory of a process. */
export const make = (): LineMemory => {
  const budgets = boundedMap.make<string, fairness.SpentBudget>(maxRemembered)
  const seen = boundedMap.make<string, { readonly freeVersion?: string; readonly inUseUntil?: number }>(maxRemembered)
  const paces = boundedMap.make<string, pace.Pace>(maxRemembered)
  const latencies = boundedMap.make<string, number>(maxRemembered)
  return {
    note: (line, { age, answeredAt, outcome, sentAt }) => {
      latencies.set(line, answeredAt - sentAt)
      if (outcome.passed !== undefined) paces.set(line, pace.after(paces.get(line), outcome.passed, age))
      seen.set(
        line,
        outcome._tag === "Freed"
          ? { freeVersion: outcome.snapshot.resourceVersion }
          : { inUseUntil: answeredAt + inUseFor }
      )
    },
    recall: (line, now) => {
      const { freeVersion, inUseUntil } = seen.get(line) ?? {}
      seen.delete(line)
      return { freeVersion, isInUse: inUseUntil !== undefined && now < inUseUntil }
    },
    paceOf: (line, age) => {
      const known = paces.get(line)
      return { passed: pace.passedIn(known, age), isHurried: pace.isHurried(known, latencies.get(line) ?? 0) }
    },
    nextBudget: (id, now, contended) => fairness.nextBudget(budgets.get(id), now, { contended, sharedWithDex: false }),
    spend: (id, budget, now) => void budgets.set(id, { ...budget, releasedAt: now })
  }
}
