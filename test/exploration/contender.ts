/**
 * What contenders may do next: kubelock in `kubelock.ts`, by the library's own machines, the others in `others.ts`.
 *
 * A stalled contender is one that is not scheduled. Waits are not modelled in time: whatever may happen after a wait may happen
 * here at any time.
 */
import * as kubelock from "./kubelock.ts"
import { dex, operator } from "./others.ts"
import type { Emit, Rules, To } from "./rules.ts"
import { ended, letGo, withActor, type World } from "./world.ts"

/** What a contender may do next. */
export const steps = (world: World, index: number, rules: Rules, emit: Emit): void => {
  const actor = world.actors[index]!
  const to: To = (name, next, violation, detail = 0) =>
    emit({ name, index, detail }, withActor(world, index, next), violation)
  switch (actor.kind) {
    case "kubelock":
      return kubelock.steps(world, index, rules, emit)
    case "dex":
      return dex(world, actor, rules.dexAhead, to)
    case "operator":
      return operator(world, index, actor, rules, to)
  }
}

/** What a contender makes of a write whose answer does not come. `isLost`: the server will never receive the write. */
export const unanswered = (world: World, index: number, isLost: boolean, rules: Rules, emit: Emit): void => {
  const actor = world.actors[index]!
  if (actor.kind === "kubelock") return kubelock.unanswered(world, index, isLost, rules, emit)
  const gone = isLost ? { ...actor, request: undefined } : letGo(actor)
  emit({ name: "gets no answer", index, detail: 0 }, withActor(world, index, ended(gone, "Done")))
}
