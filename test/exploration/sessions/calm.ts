/**
 * A world in which nothing goes wrong any more. Every request arrives and is answered, sessions are renewed, holders release, and those
 * that wait look at the lock and at its session once a second, without any watch event. Then every process that lives gets its locks in
 * the end, however the world came about.
 */
import type { Calm, Driven } from "../settling.ts"
import { judge, movesOf, type Rules } from "./moves.ts"
import type { World } from "./world.ts"

/** How such a world goes on. It may take long enough for the leases of all that have crashed, and of a late write, one after the other. */
export const calm = (rules: Rules): Calm<World> => ({
  patience: 16,
  endless: "a process waits for ever",
  size: ({ processes }) => processes.length,
  isSettled: ({ processes }) => processes.every(({ contenders }) => contenders.every(({ stage }) => stage === "Done")),
  drive: (world, index) => drive(world, rules, index),
  pass: (world) => ({ ...world, tick: world.tick + 1 }),
  idOf: (world) => JSON.stringify(world)
})

// Goes on with one process until it waits.
const drive = (from: World, rules: Rules, index: number): Driven<World> => {
  let world = from
  const made = new Set<string>()
  for (;;) {
    let found: { readonly name: string; readonly world: World; readonly violation: string | undefined } | undefined
    movesOf(world, index, rules, (name, next, violation) => {
      if (isOrderly(name) && !made.has(name)) found ??= { name, world: next, violation }
    })
    if (found === undefined) return { world, violation: undefined }
    if (isOncePerSecond(found.name)) made.add(found.name)
    const violation = found.violation ?? judge(found.world, rules)
    if (violation !== undefined) return { world, violation }
    ;({ world } = found)
  }
}

const isOncePerSecond = (name: string): boolean =>
  / reads | goes on with | renews its session| tries again | looks for /.test(name)

const isOrderly = (name: string): boolean =>
  isOncePerSecond(name) ||
  /^the server works on the | has the answer | has its answer |judges| is told that | is over$| looks no more | has run out$| begins with | releases /.test(
    name
  )
