/** The rules of every world, and which of them a world broke. */
import * as electing from "./electing.ts"
import type { History } from "./history.ts"
import * as liveness from "./liveness.ts"
import * as permitting from "./permitting.ts"
import type { Plan } from "./plan.ts"
import * as queueing from "./queueing.ts"
import { id, second } from "./server.ts"
import * as sessioning from "./sessioning.ts"
import * as safety from "./safety.ts"
import * as timeline from "./timeline.ts"

const always: ReadonlyArray<safety.Rule> = [safety.foreign, safety.fenced, safety.clocks, liveness.wishes]

// Where one at a time has what there is: a lock, or the Lease of an election.
const ofOne: ReadonlyArray<safety.Rule> = [
  ...always,
  safety.exclusion,
  safety.tokens,
  safety.theft,
  liveness.expiries,
  liveness.leftovers,
  liveness.noticed,
  liveness.groundless,
  liveness.late,
  liveness.forgotten,
  liveness.told,
  queueing.kept,
  queueing.label
]

const ofLocks: ReadonlyArray<safety.Rule> = [
  ...ofOne,
  safety.single,
  safety.commits,
  liveness.takeover,
  liveness.robust,
  liveness.losses,
  queueing.order,
  queueing.arrivals,
  queueing.turns,
  queueing.crowd,
  queueing.woken,
  queueing.claims,
  queueing.handsOff
]

const ofElections: ReadonlyArray<safety.Rule> = [
  ...ofOne,
  electing.beside,
  electing.handsOffGo,
  electing.record,
  electing.losses,
  electing.vacant
]

const ofPermits: ReadonlyArray<safety.Rule> = [
  ...always,
  permitting.limit,
  permitting.backed,
  permitting.order,
  permitting.lines,
  permitting.tokens,
  permitting.losses,
  permitting.noticed,
  permitting.groundless,
  permitting.handsOn,
  permitting.writers,
  permitting.leftovers,
  permitting.entry,
  permitting.bounded
]

// Of each of two objects.
const ofSessions: ReadonlyArray<safety.Rule> = [
  ...always,
  safety.exclusion,
  safety.tokens,
  safety.theft,
  safety.single,
  liveness.groundless,
  liveness.late,
  sessioning.renewed,
  sessioning.fencedEarly,
  sessioning.toldOfLoss,
  sessioning.inherited
]

/** All that went against the rules, in the order of time. */
export const check = (plan: Plan, history: History): ReadonlyArray<safety.Violation> => {
  if (plan.sessions === true) {
    return [id, second]
      .map((object) => timeline.make(plan, sessioning.historyOf(history, object)))
      .flatMap((line) => ofSessions.flatMap((rule) => rule(line)))
      .toSorted((a, b) => a.at - b.at)
  }
  const line = timeline.make(plan, history)
  const inForce = plan.permits !== undefined ? ofPermits : plan.election === undefined ? ofLocks : ofElections
  return inForce.flatMap((rule) => rule(line)).toSorted((a, b) => a.at - b.at)
}
