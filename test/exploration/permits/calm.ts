/**
 * A world in which nothing goes wrong any more. Every write arrives and is answered, every holder releases, and a waiter looks once a
 * second, without any watch event. Then every contender gets its permits in the end, however the world came about.
 */
import { judge, movesOf, type Rules } from "./moves.ts"
import type { World } from "./world.ts"

/** How many seconds it may take: enough for the leases of all that have crashed, and of a late write, one after the other. */
const patience = 12

/** What is known already: how long worlds take, and the longest of these times. */
export interface Known {
  readonly settled: Map<string, number>
  slowest: number
}

/** What goes wrong in the end; `undefined` if nothing does. */
export const violation = (world: World, rules: Rules, known: Known): string | undefined => {
  const passed: Array<string> = []
  let next = world
  for (;;) {
    const id = JSON.stringify(next)
    const found = next.contenders.every(({ stage }) => stage === "Done" || stage === "Crashed")
      ? 0
      : known.settled.get(id)
    if (found !== undefined) {
      passed.forEach((id, place) => known.settled.set(id, found + passed.length - place))
      known.slowest = Math.max(known.slowest, found + passed.length)
      return undefined
    }
    if (passed.length > patience) return "a contender waits for ever"
    passed.push(id)
    for (let index = 0; index < next.contenders.length; index++) {
      const driven = drive(next, rules, index)
      if (driven.violation !== undefined) return `${driven.violation}, when nothing goes wrong any more`
      next = driven.world
    }
    next = { ...next, tick: next.tick + 1 }
  }
}

// Goes on with one contender until it waits, or is done.
const drive = (
  from: World,
  rules: Rules,
  index: number
): { readonly world: World; readonly violation: string | undefined } => {
  let world = from
  for (;;) {
    let found: { readonly name: string; readonly world: World; readonly violation: string | undefined } | undefined
    movesOf(world, index, rules, (name, next, violation) => {
      if (isOrderly(name)) found ??= { name, world: next, violation }
    })
    if (found === undefined) return { world, violation: undefined }
    const violation = found.violation ?? judge(found.world, rules)
    if (violation !== undefined) return { world, violation }
    ;({ world } = found)
    const { sent, stage } = world.contenders[index]!
    const waits = stage === "Seeking" || stage === "Releasing" || stage === "Keeping"
    if (waits && sent === undefined && mayWait(found.name)) return { world, violation: undefined }
  }
}

const mayWait = (name: string): boolean => /goes on|tries again|has its answer/.test(name)

const isOrderly = (name: string): boolean =>
  /on the write of|has its answer|begins|goes on|has run out|stops looking|tries again|releases/.test(name)
