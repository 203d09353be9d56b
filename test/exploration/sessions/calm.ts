/**
 * A world in which nothing goes wrong any more. Every request arrives and is answered, sessions are renewed, holders release, and those
 * that wait look at the lock and at its session once a second, without any watch event. Then every process that lives gets its locks in
 * the end, however the world came about.
 */
import { judge, movesOf, type Rules } from "./moves.ts"
import type { World } from "./world.ts"

/** How many seconds it may take: enough for the leases of all that have crashed, and of a late write, one after the other. */
const patience = 16

/** What is known already: how long worlds take, and the longest of these times. */
export interface Known {
  readonly settled: Map<string, number>
  slowest: number
}

const isSettled = ({ processes }: World): boolean =>
  processes.every(({ contenders }) => contenders.every(({ stage }) => stage === "Done"))

/** What goes wrong in the end; `undefined` if nothing does. */
export const violation = (world: World, rules: Rules, known: Known): string | undefined => {
  const passed: Array<string> = []
  let next = world
  for (;;) {
    const id = JSON.stringify(next)
    const found = isSettled(next) ? 0 : known.settled.get(id)
    if (found !== undefined) {
      passed.forEach((id, place) => known.settled.set(id, found + passed.length - place))
      known.slowest = Math.max(known.slowest, found + passed.length)
      return undefined
    }
    if (passed.length > patience) return "a process waits for ever"
    passed.push(id)
    for (let index = 0; index < next.processes.length; index++) {
      const driven = drive(next, rules, index)
      if (driven.violation !== undefined) return `${driven.violation}, when nothing goes wrong any more`
      next = driven.world
    }
    next = { ...next, tick: next.tick + 1 }
  }
}

// Goes on with one process until it waits.
const drive = (
  from: World,
  rules: Rules,
  index: number
): { readonly world: World; readonly violation: string | undefined } => {
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
