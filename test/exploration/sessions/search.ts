/** Walks every interleaving of a world of sessions. */
import * as walking from "../walk.ts"
import { violation as whenCalm } from "./calm.ts"
import { moves, type Rules } from "./moves.ts"
import { begin } from "./world.ts"

/**
 * A world to explore. `before` is what has happened already, by name; if there are several, the first. `calmTo` is the depth down to which to
 * check that every process that lives gets its locks once nothing goes wrong any more.
 */
export interface Setting extends Rules {
  readonly title: string
  readonly before?: ReadonlyArray<string>
  readonly calmTo?: number
}

/** The outcome. `slowest`: how many seconds it took at most until every process had had its locks, once nothing went wrong any more. */
export interface Outcome extends walking.Outcome {
  readonly slowest: number
}

/** Explores down to a depth: all states that so many moves lead to. */
export const explore = (
  setting: Setting,
  maxDepth: number,
  onDepth?: (progress: walking.Progress) => void
): Outcome => {
  const { before, calmTo = 0 } = setting
  const calm = { settled: new Map<string, number>(), slowest: 0 }
  const outcome = walking.walk(
    {
      begin: begin(setting),
      before,
      moves: (world, emit) => moves(world, setting, emit),
      judge: (world, depth) => (depth < calmTo ? whenCalm(world, setting, calm) : undefined)
    },
    maxDepth,
    onDepth
  )
  return { ...outcome, slowest: calm.slowest }
}
