/** Walks every interleaving of a world breadth first, each state once, down to a depth; the first violation ends it. */
import { actions, isShared } from "./actions.ts"
import * as codec from "./codec.ts"
import type { Action, Rules } from "./contender.ts"
import { States } from "./states.ts"
import { tell } from "./tell.ts"
import { begin, type Cast, type World } from "./world.ts"

/** A world to explore: who takes part, and how they behave. */
export interface Setting extends Cast, Rules {
  readonly title: string
}

/** Told after each depth: how many states were reached so far, and how many of them for the first time there. */
export interface Progress {
  readonly depth: number
  readonly states: number
  readonly fresh: number
}

/** What came of it. `history` is the shortest one that leads to the violation. */
export interface Outcome {
  readonly states: number
  readonly depth: number
  /** In how many states two contenders held the lock at once, one of them robbed of it. */
  readonly shared: number
  /** How often each action was taken. */
  readonly taken: ReadonlyMap<string, number>
  readonly violation: { readonly what: string; readonly history: ReadonlyArray<string> } | undefined
}

/** Explores down to a depth: to the states that so many actions lead to. */
export const explore = (setting: Setting, maxDepth: number, onDepth?: (progress: Progress) => void): Outcome => {
  const states = new States()
  const scratch = new Uint8Array(codec.maxBytes)
  const taken = new Map<string, number>()
  let shared = 0
  const add = (world: World, parent: number, way: number) => {
    const length = codec.encode(world, codec.orderOf(world), scratch)
    if (states.add(scratch, length, parent, way) && isShared(world, setting.behaviour)) shared++
  }
  add(begin(setting), 0, 0)
  let depth = 0
  for (let from = 0; depth < maxDepth && from < states.size; depth++) {
    const to = states.size
    for (let index = from; index < to; index++) {
      let violation: { readonly what: string; readonly way: number } | undefined
      let ways = 0
      actions(states.read(index, codec.decode), setting, ({ name }, next, what) => {
        const way = ways++
        taken.set(name, (taken.get(name) ?? 0) + 1)
        if (what !== undefined) violation ??= { what, way }
        add(next, index, way)
      })
      if (violation !== undefined) {
        const history = retrace(setting, [...states.pathTo(index), violation.way])
        return { states: states.size, depth: depth + 1, shared, taken, violation: { what: violation.what, history } }
      }
    }
    from = to
    onDepth?.({ depth: depth + 1, states: states.size, fresh: states.size - to })
  }
  return { states: states.size, depth, shared, taken, violation: undefined }
}

// Takes the same ways again. Each state renames the contenders: `names` says who is who.
const retrace = (setting: Setting, path: ReadonlyArray<number>): ReadonlyArray<string> => {
  const scratch = new Uint8Array(codec.maxBytes)
  let world = begin(setting)
  let names = world.actors.map((actor, index) =>
    actor.kind === "kubelock" ? String.fromCharCode(65 + index) : actor.kind
  )
  let seconds = 0
  return path.map((way) => {
    const { action, next } = take(world, setting, way)
    if (action.name === "time passes") seconds++
    const line = `${String(seconds).padStart(2)} s  ${tell(action, world, next, names, seconds)}`
    const order = codec.orderOf(next)
    names = order.map((index) => names[index]!)
    world = codec.decode(scratch, 0, codec.encode(next, order, scratch))
    return line
  })
}

const take = (world: World, rules: Rules, way: number): { readonly action: Action; readonly next: World } => {
  let at = 0
  let found: { readonly action: Action; readonly next: World } | undefined
  actions(world, rules, (action, next) => {
    if (at++ === way) found = { action, next }
  })
  if (found === undefined) throw new Error("a way that was taken is not there")
  return found
}
