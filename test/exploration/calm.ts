/**
 * A world in which nothing goes wrong any more. Every write arrives and is answered, every contender does what it has to do, and a
 * waiter reads the object once a second, without any watch event. Then every contender gets the lock in the end, however the world
 * came about.
 */
import { answer, judge } from "./actions.ts"
import * as codec from "./codec.ts"
import { steps } from "./contender.ts"
import type { Rules } from "./rules.ts"
import { type Actor, tick, type World } from "./world.ts"

/** How many seconds it may take: enough for the longest lease, and one hand-over to a contender that is gone, however many are. */
const patience = 10

/** Judges worlds. It remembers what it found, for worlds that come to the same. */
export class Calm {
  private readonly rules: Rules
  private readonly settled = new Map<string, number>()
  private readonly scratch = Buffer.alloc(codec.maxBytes)
  /** How many seconds it took at most. */
  slowest = 0

  constructor(rules: Rules) {
    this.rules = rules
  }

  /** What goes wrong in the end; `undefined` if nothing does. */
  violation(world: World): string | undefined {
    const passed: Array<string> = []
    let next = world
    for (;;) {
      const found = this.settled.get(this.idOf(next))
      if (found !== undefined || next.actors.every(isDone)) {
        this.settle(passed, found ?? 0)
        return undefined
      }
      if (passed.length > patience) return "a contender waits for ever"
      passed.push(this.idOf(next))
      for (let index = 0; index < next.actors.length; index++) {
        const { violation, world: driven } = drive(next, index, this.rules)
        if (violation !== undefined) return `${violation}, when nothing goes wrong any more`
        next = driven
      }
      next = tick(next)
    }
  }

  private settle(passed: ReadonlyArray<string>, rest: number): void {
    this.slowest = Math.max(this.slowest, rest + passed.length)
    passed.forEach((id, place) => this.settled.set(id, rest + passed.length - place))
  }

  private idOf(world: World): string {
    return this.scratch.toString("latin1", 0, codec.encode(world, codec.orderOf(world), this.scratch))
  }
}

const isDone = ({ kind, stage }: Actor): boolean => kind !== "kubelock" || stage === "Done" || stage === "Crashed"

// Goes on with one contender until it waits, or is done.
const drive = (
  from: World,
  index: number,
  rules: Rules
): { readonly world: World; readonly violation: string | undefined } => {
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
