/** Walks every interleaving of a world breadth first, each state once, down to a depth. The first violation ends the walk. */
import { actions, isShared } from "./actions.ts"
import { calm } from "./calm.ts"
import * as codec from "./codec.ts"
import type { Action, Rules } from "./rules.ts"
import { Settling } from "./settling.ts"
import { States } from "./states.ts"
import { tell } from "./tell.ts"
import type { Progress } from "./walk.ts"
import { begin, type Cast, type World } from "./world.ts"

/**
 * A world to explore. `before` is what has happened already, so that what is rare is near. `calmTo` is the depth down to which to
 * check that every contender gets the lock once nothing goes wrong any more.
 */
export interface Setting extends Cast, Rules {
  readonly title: string
  readonly before?: ReadonlyArray<Step>
  readonly calmTo?: number
}

/** An action, by its name and contender. If there are several, the first. */
export type Step = readonly [name: string, index: number]

// The world in which an exploration begins: a state like any other.
const start = (setting: Setting): World =>
  (setting.before ?? []).reduce((world, [name, index]) => {
    const found = take(world, setting, (action) => action.name === name && action.index === index)
    return found.next
  }, begin(setting))

/**
 * The outcome. `history` is the shortest one that leads to the violation.
 *
 * - `shared`: in how many states two contenders held the lock at once, one of them robbed of it.
 * - `slowest`: how many seconds it took at most until every contender had had the lock, once nothing went wrong any more.
 * - `taken`: how often each action was taken.
 */
export interface Outcome {
  readonly states: number
  readonly depth: number
  readonly shared: number
  readonly slowest: number
  readonly taken: ReadonlyMap<string, number>
  readonly violation: { readonly what: string; readonly history: ReadonlyArray<string> } | undefined
}

/** Explores down to a depth: all states that so many actions lead to. */
export const explore = (setting: Setting, maxDepth: number, onDepth?: (progress: Progress) => void): Outcome => {
  const states = new States()
  const scratch = new Uint8Array(codec.maxBytes)
  const taken = new Map<string, number>()
  const settling = new Settling(calm(setting))
  let shared = 0
  const add = (world: World, parent: number, way: number): boolean => {
    const length = codec.encode(world, codec.orderOf(world), scratch)
    const isNew = states.add(scratch, length, parent, way)
    if (isNew && isShared(world, setting.library)) shared++
    return isNew
  }
  add(start(setting), 0, 0)
  let depth = 0
  for (let from = 0; depth < maxDepth && from < states.size; depth++) {
    const to = states.size
    for (let index = from; index < to; index++) {
      let violation: { readonly what: string; readonly way: number } | undefined
      let ways = 0
      actions(states.read(index, codec.decode), setting, ({ name }, next, what) => {
        const way = ways++
        taken.set(name, (taken.get(name) ?? 0) + 1)
        const isNew = add(next, index, way)
        const isCalm = isNew && depth < (setting.calmTo ?? 0) && what === undefined
        const wrong = isCalm ? settling.violation(next) : what
        if (wrong !== undefined) violation ??= { what: wrong, way }
      })
      if (violation !== undefined) {
        const history = retrace(setting, [...states.pathTo(index), violation.way])
        return {
          states: states.size,
          depth: depth + 1,
          shared,
          slowest: settling.slowest,
          taken,
          violation: { what: violation.what, history }
        }
      }
    }
    from = to
    onDepth?.({ depth: depth + 1, states: states.size, fresh: states.size - to })
  }
  return { states: states.size, depth, shared, slowest: settling.slowest, taken, violation: undefined }
}

// Takes the same ways again. Each state renumbers the contenders: `names` keeps track.
const retrace = (setting: Setting, path: ReadonlyArray<number>): ReadonlyArray<string> => {
  const scratch = new Uint8Array(codec.maxBytes)
  let { names, world } = renamed(start(setting), namesOf(setting), scratch)
  let seconds = 0
  return path.map((way) => {
    const { action, next } = take(world, setting, (_, at) => at === way)
    if (action.name === "time passes") seconds++
    const line = `${String(seconds).padStart(2)} s  ${tell(action, world, next, names, seconds)}`
    ;({ names, world } = renamed(next, names, scratch))
    return line
  })
}

const namesOf = ({ actors }: Cast): ReadonlyArray<string> =>
  actors.map((kind, index) => (kind === "dex" || kind === "operator" ? kind : String.fromCharCode(65 + index)))

const renamed = (world: World, names: ReadonlyArray<string>, scratch: Uint8Array) => {
  const order = codec.orderOf(world)
  return {
    names: order.map((index) => names[index]!),
    world: codec.decode(scratch, 0, codec.encode(world, order, scratch))
  }
}

const take = (
  world: World,
  rules: Rules,
  isIt: (action: Action, way: number) => boolean
): { readonly action: Action; readonly next: World } => {
  let way = 0
  let found: { readonly action: Action; readonly next: World } | undefined
  actions(world, rules, (action, next) => {
    if (isIt(action, way++)) found ??= { action, next }
  })
  if (found === undefined) throw new Error("an action to be taken is not there")
  return found
}
