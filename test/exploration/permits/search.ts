/** Walks every interleaving of a world with permits. */
import { type Outcome, type Progress, walk } from "../walk.ts"
import { calm } from "./calm.ts"
import { moves, type Rules } from "./moves.ts"
import { begin } from "./world.ts"

/**
 * A world to explore. `before` is what has happened already, by name; if there are several, the first. `calmTo` is the depth down to which to
 * check that every contender gets its permits once nothing goes wrong any more.
 */
export interface Setting extends Rules {
  readonly title: string
  readonly before?: ReadonlyArray<string>
  readonly calmTo?: number
}

/** Explores down to a depth: all states that so many moves lead to. */
export const explore = (setting: Setting, maxDepth: number, onDepth?: (progress: Progress) => void): Outcome => {
  const { before, calmTo } = setting
  return walk(
    { begin: begin(setting), before, moves: (world, emit) => moves(world, setting, emit), calm: calm(setting), calmTo },
    maxDepth,
    onDepth
  )
}
