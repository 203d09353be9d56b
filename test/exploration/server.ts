/** The API server: works on one write, and judges with an eye that no contender has whether it may happen. */
import type { Behaviour } from "./behaviour.ts"
import * as wire from "./wire.ts"
import { type Actor, holds, outdated, type Request, withActor, type World } from "./world.ts"

export interface Served {
  readonly world: World
  readonly done: boolean
  readonly violation: string | undefined
}

/** Works on a request of an actor; the request itself stays where it is. `late`: its sender waits no longer. */
export const serve = (world: World, index: number, request: Request, late: boolean, behaviour: Behaviour): Served => {
  const actor = world.actors[index]!
  if (!conditionHolds(world, index, request, behaviour)) return { world, done: false, violation: undefined }
  const annotations = written(world, index, request, behaviour)
  const changed = !wire.same(annotations, world.annotations)
  let next: World = changed ? { ...world, annotations, actors: outdated(world.actors) } : world
  if (request.write === "remove") next = { ...next, owner: wire.nobody, late: false }
  else {
    next = { ...next, owner: index, late: late && request.write === "acquire" && actor.stage === "Done" }
  }
  const victim = robbed(world, index, request)
  if (victim !== undefined) next = rob(next, victim)
  if (request.write === "acquire") {
    next = withActor(next, index, {
      ...next.actors[index]!,
      robbed: 0,
      token: actor.kind === "kubelock" ? 2 : 0
    })
  }
  return { world: next, done: true, violation: judge(world, next, index, request, behaviour) }
}

/** The lock that stands is taken from under a contender: remembered where it relies on it, or is about to. */
export const rob = (world: World, victim: number): World => {
  const actor = world.actors[victim]
  return actor?.kind === "kubelock" && (holds(actor.stage) || actor.request?.answer === "done")
    ? withActor(world, victim, { ...actor, robbed: 1 })
    : world
}

const conditionHolds = (world: World, index: number, request: Request, behaviour: Behaviour): boolean => {
  switch (request.expects) {
    case "version":
      return request.current
    case "lease":
      return wire.stands(world.annotations, behaviour.holder(index), request.lease)
    case "nothing":
      return true
  }
}

const written = ({ actors, annotations }: World, index: number, { until, write }: Request, behaviour: Behaviour) => {
  if (actors[index]!.kind === "dex") {
    return wire.apply(annotations, write === "remove" ? {} : wire.dexChanges(until), true)
  }
  return write === "remove"
    ? wire.apply(annotations, wire.removal, behaviour.writesWhole)
    : wire.apply(annotations, wire.leaseChanges(behaviour.holder(index), until), behaviour.writesWhole)
}

const isExpired = (world: World): boolean => world.annotations.lock < 0

const isLocked = (world: World): boolean => world.annotations.lock !== wire.absent

// Dex removes what it finds (its defect 2) and breaks by a wrong clock (its defect 7); an operator removes any lock.
const robbed = (world: World, index: number, request: Request): number | undefined => {
  const { kind } = world.actors[index]!
  if (kind === "kubelock" || !isLocked(world) || world.owner === index || world.owner === wire.nobody) return undefined
  return request.write === "remove" || !isExpired(world) ? world.owner : undefined
}

const judge = (
  before: World,
  after: World,
  index: number,
  request: Request,
  behaviour: Behaviour
): string | undefined => {
  const { kind } = before.actors[index]!
  if (kind === "dex") return undefined
  if (before.annotations.foreign !== after.annotations.foreign) return "a stranger's annotation did not survive a write"
  if (kind === "operator") {
    return !isLocked(before) || before.owner === request.target
      ? undefined
      : "an operator's break removed another lock than the one it saw"
  }
  if (before.annotations.lock === wire.malformed) return "a malformed value was not left alone"
  const others = isLocked(before) && before.owner !== index
  if (others && request.write === "remove") return "a contender removed a lock that is not its own"
  if (others && request.write === "renew") return "a renewal overwrote a lock that is not its own"
  if (others && !isExpired(before)) return "a lock was taken that had not expired"
  if (request.write === "acquire" && after.actors.some((other, at) => at !== index && isNoOlder(other, behaviour))) {
    return "a fencing token is no greater than that of an acquisition before it"
  }
  return undefined
}

const isNoOlder = ({ token }: Actor, behaviour: Behaviour): boolean =>
  behaviour.token === "resourceVersion" ? token === 2 : token > 0
