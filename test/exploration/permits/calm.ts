/**
 * A world in which nothing goes wrong any more. Every write arrives and is answered, every holder releases, and a waiter looks once a
 * second, without any watch event. Then every contender gets its permits in the end, however the world came about.
 */
import type { Calm, Driven } from "../settling.ts"
import { judge, movesOf, type Rules } from "./moves.ts"
import type { World } from "./world.ts"

/** How such a world goes on. It may take long enough for the leases of all that have crashed, and of a late write, one after the other. */
export const calm = (rules: Rules): Calm<World> => ({
  patience: 12,
  endless: "a contender waits for ever",
  size: ({ contenders }) => contenders.length,
  isSettled: ({ contenders }) => contenders.every(({ stage }) => stage === "Done" || stage === "Crashed"),
  drive: (world, index) => drive(world, rules, index),
  pass: (world) => ({ ...world, tick: world.tick + 1 }),
  idOf: (world) => JSON.stringify(world)
})

// Goes on with one contender until it waits, or is done.
const drive = (from: World, rules: Rules, index: number): Driven<World> => {
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
