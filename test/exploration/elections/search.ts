/** Walks every interleaving of an election. */
import { type Outcome, type Progress, walk } from "../walk.ts"
import type { Library } from "./library.ts"
import { moves } from "./moves.ts"
import { begin, type Cast } from "./world.ts"

/** An election to explore. `before` is what has happened already, by name; if there are several, the first. */
export interface Setting extends Cast {
  readonly title: string
  readonly library: Library
  readonly before?: ReadonlyArray<string>
}

/** Explores down to a depth: all states that so many moves lead to. */
export const explore = (setting: Setting, maxDepth: number, onDepth?: (progress: Progress) => void): Outcome => {
  const { before, library, ...cast } = setting
  return walk({ begin: begin(cast), before, moves: (world, emit) => moves(world, library, emit) }, maxDepth, onDepth)
}
