/** Walks every interleaving of a world breadth first, each state once, down to a depth. The first violation ends the walk. */
import { hash } from "node:crypto"
import { type Calm, Settling } from "./settling.ts"

/** Takes a move by its name, and what it leads to; with a violation if it is one. */
export type Emit<World> = (name: string, next: World, violation?: string | undefined) => void

/**
 * A world to walk. `before` is what has happened already, by name; if there are several, the first. `moves` is all that can happen next, and
 * what it breaks. `calmTo` is the depth down to which to check that a world settles as it goes on with `calm`.
 */
export interface Walk<World> {
  readonly begin: World
  readonly before: ReadonlyArray<string> | undefined
  readonly moves: (world: World, emit: Emit<World>) => void
  readonly calm?: Calm<World>
  readonly calmTo?: number | undefined
}

/** The progress after a depth: how many states were reached so far, and how many of them at this depth first. */
export interface Progress {
  readonly depth: number
  readonly states: number
  readonly fresh: number
}

/**
 * The outcome.
 *
 * - `taken`: the names of the moves that were made.
 * - `slowest`: how many seconds it took at most until a world had settled, once nothing went wrong any more; 0 if that is not checked.
 * - `history`: the shortest one that leads to the violation.
 */
export interface Outcome {
  readonly states: number
  readonly depth: number
  readonly taken: ReadonlySet<string>
  readonly slowest: number
  readonly violation: { readonly what: string; readonly history: ReadonlyArray<string> } | undefined
}

interface Path {
  readonly before: Path | undefined
  readonly told: string
}

const start = <World>({ before = [], begin, moves }: Walk<World>): World =>
  before.reduce((world, wanted) => {
    let found: World | undefined
    moves(world, (name, next) => {
      if (name === wanted) found ??= next
    })
    if (found === undefined) throw new Error(`a move to be made is not there: ${wanted}`)
    return found
  }, begin)

/** A state as a short text. */
const idOf = (world: unknown): string => hash("md5", JSON.stringify(world), "latin1" as "hex")

/** Walks down to a depth: to all states that so many moves lead to. */
export const walk = <World extends { readonly tick: number }>(
  options: Walk<World>,
  maxDepth: number,
  onDepth?: (progress: Progress) => void
): Outcome => {
  const { calm, calmTo = 0, moves } = options
  const settling = calm && new Settling(calm)
  const taken = new Set<string>()
  const first = start(options)
  let level: ReadonlyArray<readonly [World, Path | undefined]> = [[first, undefined]]
  const seen = new Set([idOf(first)])
  let depth = 0
  for (; depth < maxDepth && level.length > 0; depth++) {
    const fresh: Array<readonly [World, Path | undefined]> = []
    for (const [world, path] of level) {
      let wrong: { readonly what: string; readonly path: Path } | undefined
      moves(world, (name, next, violation) => {
        taken.add(name)
        const id = idOf(next)
        const isNew = !seen.has(id)
        const what = violation ?? (isNew && depth < calmTo ? settling?.violation(next) : undefined)
        const way = { before: path, told: `${String(next.tick).padStart(2)} s  ${name}` }
        if (what !== undefined) wrong ??= { what, path: way }
        if (!isNew) return
        seen.add(id)
        fresh.push([next, way])
      })
      if (wrong !== undefined) {
        const violation = { what: wrong.what, history: historyOf(wrong.path) }
        return { states: seen.size, depth: depth + 1, taken, slowest: settling?.slowest ?? 0, violation }
      }
    }
    level = fresh
    onDepth?.({ depth: depth + 1, states: seen.size, fresh: fresh.length })
  }
  return { states: seen.size, depth, taken, slowest: settling?.slowest ?? 0, violation: undefined }
}

const historyOf = (path: Path | undefined): ReadonlyArray<string> =>
  path === undefined ? [] : [...historyOf(path.before), path.told]
