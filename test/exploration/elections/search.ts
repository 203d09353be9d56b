/** Walks every interleaving of an election breadth first, each state once, down to a depth. The first violation ends the walk. */
import type { Library } from "./library.ts"
import { moves } from "./moves.ts"
import { begin, type Cast, type World } from "./world.ts"

/** An election to explore. `before` is what has happened already, by name; if there are several, the first. */
export interface Setting extends Cast {
  readonly title: string
  readonly library: Library
  readonly before?: ReadonlyArray<string>
}

/** The outcome. `history` is the shortest one that leads to the violation, `taken` how often each move was made. */
export interface Outcome {
  readonly states: number
  readonly depth: number
  readonly taken: ReadonlyMap<string, number>
  readonly violation: { readonly what: string; readonly history: ReadonlyArray<string> } | undefined
}

interface Node {
  readonly world: World
  readonly parent: Node | undefined
  readonly name: string
}

const start = ({ before = [], library, ...cast }: Setting): World =>
  before.reduce((world, wanted) => {
    let found: World | undefined
    moves(world, library, (name, next) => {
      if (name === wanted) found ??= next
    })
    if (found === undefined) throw new Error(`a move to be made is not there: ${wanted}`)
    return found
  }, begin(cast))

/** Explores down to a depth: all states that so many moves lead to. */
export const explore = (
  setting: Setting,
  maxDepth: number,
  onDepth?: (progress: { readonly depth: number; readonly states: number; readonly fresh: number }) => void
): Outcome => {
  const { library } = setting
  const taken = new Map<string, number>()
  let level: ReadonlyArray<Node> = [{ world: start(setting), parent: undefined, name: "" }]
  const seen = new Set(level.map(({ world }) => JSON.stringify(world)))
  let depth = 0
  for (; depth < maxDepth && level.length > 0; depth++) {
    const next: Array<Node> = []
    for (const node of level) {
      let wrong: { readonly what: string; readonly name: string } | undefined
      moves(node.world, library, (name, world, violation) => {
        taken.set(name, (taken.get(name) ?? 0) + 1)
        if (violation !== undefined) wrong ??= { what: violation, name }
        const state = JSON.stringify(world)
        if (seen.has(state)) return
        seen.add(state)
        next.push({ world, parent: node, name })
      })
      if (wrong !== undefined) {
        const history = [...historyOf(node), told(node.world, wrong.name)]
        return { states: seen.size, depth: depth + 1, taken, violation: { what: wrong.what, history } }
      }
    }
    level = next
    onDepth?.({ depth: depth + 1, states: seen.size, fresh: next.length })
  }
  return { states: seen.size, depth, taken, violation: undefined }
}

const historyOf = ({ name, parent }: Node): ReadonlyArray<string> =>
  parent === undefined ? [] : [...historyOf(parent), told(parent.world, name)]

const told = ({ tick }: World, name: string): string => `${String(tick).padStart(2)} s  ${name}`
