/** The rules of every world, and which of them a world broke. */
import * as electing from "./electing.ts"
import type { History } from "./history.ts"
import * as liveness from "./liveness.ts"
import * as permitting from "./permitting.ts"
import type { Plan } from "./plan.ts"
import * as queueing from "./queueing.ts"
import * as safety from "./safety.ts"
import * as timeline from "./timeline.ts"

const rules: ReadonlyArray<safety.Rule> = [
  safety.exclusion,
  safety.tokens,
  safety.theft,
  safety.single,
  safety.foreign,
  safety.fenced,
  safety.commits,
  safety.clocks,
  liveness.wishes,
  liveness.takeover,
  liveness.expiries,
  liveness.leftovers,
  liveness.noticed,
  liveness.robust,
  liveness.groundless,
  liveness.late,
  liveness.forgotten,
  liveness.told,
  queueing.order,
  queueing.arrivals,
  queueing.turns,
  queueing.kept,
  queueing.crowd,
  queueing.woken,
  queueing.claims,
  queueing.label,
  queueing.handsOff
]

const rulesOfElections: ReadonlyArray<safety.Rule> = [
  safety.exclusion,
  safety.tokens,
  safety.theft,
  safety.foreign,
  safety.fenced,
  safety.clocks,
  liveness.wishes,
  liveness.expiries,
  liveness.leftovers,
  liveness.noticed,
  liveness.groundless,
  liveness.late,
  liveness.forgotten,
  liveness.told,
  queueing.kept,
  queueing.label,
  electing.beside,
  electing.handsOffGo,
  electing.record,
  electing.losses,
  electing.vacant
]

const rulesOfPermits: ReadonlyArray<safety.Rule> = [
  safety.foreign,
  safety.fenced,
  safety.clocks,
  liveness.wishes,
  permitting.limit,
  permitting.backed,
  permitting.order,
  permitting.lines,
  permitting.tokens,
  permitting.losses,
  permitting.noticed,
  permitting.groundless,
  permitting.handsOn,
  permitting.leftovers,
  permitting.entry,
  permitting.bounded
]

/** All that went against the rules, in the order of time. */
export const check = (plan: Plan, history: History): ReadonlyArray<safety.Violation> => {
  const line = timeline.make(plan, history)
  const inForce = plan.permits !== undefined ? rulesOfPermits : plan.election === undefined ? rules : rulesOfElections
  return inForce.flatMap((rule) => rule(line)).toSorted((a, b) => a.at - b.at)
}
