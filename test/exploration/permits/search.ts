/** Walks every interleaving of a world breadth first, each state once, down to a depth. The first violation ends the walk. */
import { hash } from "node:crypto"
import { violation as whenCalm } from "./calm.ts"
import { moves, type Rules } from "./moves.ts"
import { begin, type World } from "./world.ts"

/**
 * A world to explore. `before` is what has happened already, by name; if there are several, the first. `calmTo` is the depth down to which to
 * check that every contender gets its permits once nothing goes wrong any more.
 */
export interface Setting extends Rules {
  readonly title: string
  readonly before?: ReadonlyArray<string>
  readonly calmTo?: number
}

/**
 * The outcome. `history` is the shortest one that leads to the violation, `taken` the names of the moves that were made. `slowest`: how
 * many seconds it took at most until every contender had had its permits, once nothing went wrong any more.
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

const start = (setting: Setting): World =>
  (setting.before ?? []).reduce((world, wanted) => {
    let found: World | undefined
    moves(world, setting, (name, next) => {
      if (name === wanted) found ??= next
    })
    if (found === undefined) throw new Error(`a move to be made is not there: ${wanted}`)
    return found
  }, begin(setting))

/** A state as a short text. */
const idOf = (world: World): string => hash("md5", JSON.stringify(world), "latin1" as "hex")

/** Explores down to a depth: all states that so many moves lead to. */
export const explore = (
  setting: Setting,
  maxDepth: number,
  onDepth?: (progress: { readonly depth: number; readonly states: number; readonly fresh: number }) => void
): Outcome => {
  const taken = new Set<string>()
  const first = start(setting)
  let level: ReadonlyArray<readonly [World, Path | undefined]> = [[first, undefined]]
  const seen = new Set([idOf(first)])
  const calm = { settled: new Map<string, number>(), slowest: 0 }
  let depth = 0
  for (; depth < maxDepth && level.length > 0; depth++) {
    const fresh: Array<readonly [World, Path | undefined]> = []
    for (const [world, path] of level) {
      let wrong: { readonly what: string; readonly path: Path } | undefined
      moves(world, setting, (name, next, violation) => {
        taken.add(name)
        const id = idOf(next)
        const isNew = !seen.has(id)
        const isCalm = isNew && violation === undefined && depth < (setting.calmTo ?? 0)
        const what = violation ?? (isCalm ? whenCalm(next, setting, calm) : undefined)
        const way = { before: path, told: `${String(next.tick).padStart(2)} s  ${name}` }
        if (what !== undefined) wrong ??= { what, path: way }
        if (!isNew) return
        seen.add(id)
        fresh.push([next, way])
      })
      if (wrong !== undefined) {
        const { path: last, what } = wrong
        const violation = { what, history: historyOf(last) }
        return { states: seen.size, depth: depth + 1, taken, slowest: calm.slowest, violation }
      }
    }
    level = fresh
    onDepth?.({ depth: depth + 1, states: seen.size, fresh: fresh.length })
  }
  return { states: seen.size, depth, taken, slowest: calm.slowest, violation: undefined }
}

const historyOf = (path: Path | undefined): ReadonlyArray<string> =>
  path === undefined ? [] : [...historyOf(path.before), path.told]
