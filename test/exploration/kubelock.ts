/** What may happen to a contender of kubelock. What it does then, the library's machines say. */
import { acquired, seek } from "./acquiring.ts"
import { commit, committed } from "./committing.ts"
import { hold, renewed } from "./holding.ts"
import type { Move } from "./move.ts"
import { giveUp, release, released } from "./releasing.ts"
import type { Emit, Rules } from "./rules.ts"
import { type Actor, letGo, type World } from "./world.ts"

/** What may happen to it. */
export const steps = (world: World, index: number, rules: Rules, emit: Emit): void => {
  const move: Move = { world, index, actor: world.actors[index]!, rules, emit }
  switch (move.actor.stage) {
    case "Beginning":
    case "Idle":
    case "Read":
    case "BackingOff":
    case "Joining":
    case "Acquiring":
      return seek(move)
    case "Holding":
    case "Renewing":
    case "Refused":
      return hold(move)
    case "Committing":
      return commit(move)
    case "Lost":
      return giveUp(move)
    case "Releasing":
    case "Leaving":
    case "Removing":
    case "Settling":
      return release(move)
    case "Local":
    case "Done":
    case "Crashed":
  }
}

/** What it makes of a write whose answer does not come. `isLost`: the server will never receive the write. */
export const unanswered = (world: World, index: number, isLost: boolean, rules: Rules, emit: Emit): void => {
  const actor = world.actors[index]!
  const { library } = rules
  const gone: Actor = { ...(isLost ? { ...actor, request: undefined, seen: undefined } : letGo(actor)), sent: 0 }
  const move: Move = { world, index, actor: gone, rules, emit }
  switch (actor.stage) {
    case "Acquiring":
      return library.acquisition.acquired(actor, index, "lost").forEach((next) => acquired(move, next, 0))
    case "Joining":
      return acquired(move, library.acquisition.joined(actor, index, "lost", 0), 0)
    case "Renewing":
      return renewed(move, library.holding.renewed(actor, index, "lost"))
    case "Committing":
      return committed(move, library.commit.committed(actor, index, "lost"), 0)
    case "Releasing":
    case "Leaving":
    case "Settling":
      return released(move, "", library.release.released(actor, index, "lost", 0), 0)
  }
}
