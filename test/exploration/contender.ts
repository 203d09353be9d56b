/**
 * What contenders may do next, each in its own way: kubelock as `internal/acquire.ts`, `hold.ts`, `release.ts` and
 * `cohort.ts` have it, in `seeking.ts`, `holding.ts` and `leaving.ts`; the others in `others.ts`.
 *
 * A stalled contender is one that is not scheduled. Waits between attempts and renewals are not modelled: whatever may
 * happen after a wait may happen here at any time, so a contender in the queue may look at the object whenever it likes,
 * and may be told late, or never, that the lock was handed to it. A read and what is made of it are one step where the
 * write that follows is conditional on what was read.
 */
import type { Behaviour } from "./behaviour.ts"
import { hold, lost } from "./holding.ts"
import { leave } from "./leaving.ts"
import { dex, operator } from "./others.ts"
import type { Emit, Rules, To } from "./rules.ts"
import { seek } from "./seeking.ts"
import { type Actor, ended, holds, seeks, withActor, type World } from "./world.ts"

/** What a contender may do next. */
export const steps = (world: World, index: number, rules: Rules, emit: Emit): void => {
  const actor = world.actors[index]!
  const to: To = (name, next, violation, detail = 0) =>
    emit({ name, index, detail }, withActor(world, index, next), violation)
  switch (actor.kind) {
    case "kubelock":
      if (seeks(actor.stage)) seek(world, index, actor, rules, to)
      else if (holds(actor.stage)) hold(world, index, actor, rules, emit, to)
      else leave(world, index, actor, rules, emit, to)
      return
    case "dex":
      return dex(world, actor, rules.dexAhead, to)
    case "operator":
      return operator(world, actor, rules, to)
  }
}

/** What a contender makes of a write whose answer does not come. */
export const unanswered = (actor: Actor, behaviour: Behaviour): Actor => {
  if (actor.kind !== "kubelock") return ended(actor, "Done")
  switch (actor.stage) {
    case "Acquiring":
      return behaviour.followsUp ? { ...actor, stage: "Idle", mayHold: true } : ended(actor, "Done")
    case "Joining":
      return { ...actor, stage: "Idle" }
    case "Renewing":
      return { ...actor, stage: "Holding" }
    case "Committing":
      return behaviour.reliesOnCommitted ? { ...actor, stage: "Holding" } : lost(actor)
    default:
      return { ...actor, stage: "Removing" }
  }
}
