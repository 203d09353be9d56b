/**
 * A world in which nothing goes wrong any more. Every write arrives and is answered, every contender does what it has to do, and a
 * waiter reads the object once a second, without any watch event. Then every contender gets the lock in the end, however the world
 * came about.
 */
import { answer, judge } from "./actions.ts"
import * as codec from "./codec.ts"
import { steps } from "./contender.ts"
import type { Rules } from "./rules.ts"
import type { Calm, Driven } from "./settling.ts"
import { type Actor, tick, type World } from "./world.ts"

/** How such a world goes on. It may take long enough for the longest lease, and one hand-over to a contender that is gone, however many are. */
export const calm = (rules: Rules): Calm<World> => {
  const scratch = Buffer.alloc(codec.maxBytes)
  return {
    patience: 10,
    endless: "a contender waits for ever",
    size: ({ actors }) => actors.length,
    isSettled: ({ actors }) => actors.every(isDone),
    drive: (world, index) => drive(world, index, rules),
    pass: tick,
    idOf: (world) => scratch.toString("latin1", 0, codec.encode(world, codec.orderOf(world), scratch))
  }
}

const isDone = ({ kind, stage }: Actor): boolean => kind !== "kubelock" || stage === "Done" || stage === "Crashed"

// Goes on with one contender until it waits, or is done.
const drive = (from: World, index: number, rules: Rules): Driven<World> => {
  let world = from
  for (;;) {
    const next = nextOf(world, index, rules)
    if (next === undefined) return { world, violation: undefined }
    const violation = next.violation ?? judge(next.world, rules)
    if (violation !== undefined) return { world, violation }
    world = next.world
    if (next.name.startsWith("waits")) return { world, violation }
  }
}

interface Next {
  readonly name: string
  readonly world: World
  readonly violation: string | undefined
}

const nextOf = (world: World, index: number, rules: Rules): Next | undefined => {
  if (world.actors[index]!.request?.answer === "none") {
    const { next, violation } = answer(world, index, rules.library)
    return { name: "is answered", world: next, violation }
  }
  let found: Next | undefined
  steps(world, index, rules, ({ name }, next, violation) => {
    if (!whims.has(name)) found ??= { name, world: next, violation }
  })
  return found
}

const whims = new Set([
  "gets no answer to its read",
  "gives up its commit",
  "gives up waiting",
  "is interrupted",
  "is interrupted before it sends",
  "sees by a watch that the lock is its own",
  "sends a commit",
  "sends a renewal"
])
