/** The API server works on one write. What no contender can see tells whether the write may happen. */
import type { Library } from "./library/library.ts"
import { apply, holds as conditionHolds, kept, leavesTwoLeases } from "./patch.ts"
import { tokenIsNoGreater } from "./rules.ts"
import * as wire from "./wire.ts"
import { type Actor, holds, outdated, type Request, see, seeks, ttl, withActor, type World } from "./world.ts"

/** What comes of a write: whether it was applied, and what it violates. */
export interface Served {
  readonly world: World
  readonly done: boolean
  readonly violation: string | undefined
}

/** Works on a request of an actor. The request itself stays where it is. `late`: its sender waits no longer. */
export const serve = (world: World, index: number, request: Request, late: boolean, library: Library): Served => {
  const actor = world.actors[index]!
  const isMet = request.condition.version ? request.current : conditionHolds(request.condition, world.annotations)
  if (!isMet) return { world, done: false, violation: undefined }
  const replacesAll = actor.kind === "dex" || library.replacesAll
  const annotations = apply(world.annotations, request.patch, replacesAll)
  const changed = !wire.same(annotations, world.annotations)
  let next: World = changed ? { ...world, annotations, actors: outdated(world.actors) } : world
  if (late && request.write === "join") next = { ...next, litter: next.litter | (1 << index) }
  if (request.write === "commit") {
    next = withActor({ ...next, committed: index }, index, { ...next.actors[index]!, hasCommitted: true })
  }
  const victim = robbed(world, index, request)
  if (victim !== undefined) next = rob(next, victim)
  if (request.patch.lock !== kept) next = given(next, index, request, late)
  if (request.write === "acquire") {
    next = withActor(next, index, {
      ...next.actors[index]!,
      robbed: 0,
      token: actor.kind === "kubelock" ? 2 : 0
    })
  }
  if (!late && actor.kind === "kubelock") {
    const { watched, ...sender } = next.actors[index]!
    // The answer to a join makes old news of watch events from before.
    next = withActor(next, index, {
      ...sender,
      watched: request.write === "join" ? undefined : watched,
      seen: see(next)
    })
  }
  const second = leavesTwoLeases(world.annotations, request.patch, replacesAll) ? secondLease : undefined
  return { world: next, done: true, violation: judge(world, next, index, request, library) ?? second }
}

// The owner of the lock after a write. A contender that still seeks the lock may hear of it by a watch, sooner or later.
const given = (world: World, index: number, { patch, write }: Request, late: boolean): World => {
  const { kind } = world.actors[index]!
  if (patch.lock === wire.absent) return { ...world, owner: wire.nobody, late: false }
  const owner = write === "acquire" || write === "renew" || kind === "dex" ? index : patch.by
  const receiver = world.actors[owner]
  const next = {
    ...world,
    owner,
    late: owner !== index && hasLitter(world, owner)
  }
  if (receiver?.kind !== "kubelock" || !seeks(receiver.stage) || (owner === index && !late)) return next
  return withActor(next, owner, { ...receiver, robbed: 0, watched: see(next) })
}

const hasLitter = ({ litter }: World, index: number): boolean => index === wire.ghost || ((litter >> index) & 1) === 1

/** Somebody takes the lock from its owner. The owner remembers it if it relies on the lock, or is about to. */
export const rob = (world: World, victim: number): World => {
  const actor = world.actors[victim]
  if (actor?.kind !== "kubelock") return world
  const { left, request, seen, sent, stage, watched } = actor
  const answered = request?.answer === "done" ? ttl - sent : 0
  if (holds(stage) || (stage === "Acquiring" && answered > 0)) {
    return withActor(world, victim, { ...actor, robbed: 1 + Math.max(left, answered) })
  }
  return seeks(stage) && (watched !== undefined || seen?.by === victim)
    ? withActor(world, victim, { ...actor, robbed: 1 + Math.max(0, watched?.lock ?? 0, seen?.lock ?? 0) })
    : world
}

const isExpired = (world: World): boolean => world.annotations.lock < 0

const isLocked = (world: World): boolean => world.annotations.lock !== wire.absent

// Dex removes whatever lock it finds (its defect 2) and takes over by a wrong clock (its defect 7). An operator removes any lock.
const robbed = (world: World, index: number, request: Request): number | undefined => {
  const { kind } = world.actors[index]!
  if (kind === "kubelock" || !isLocked(world) || world.owner === index || world.owner === wire.nobody) return undefined
  return givesUp(request) || !isExpired(world) ? world.owner : undefined
}

const judge = (before: World, after: World, index: number, request: Request, library: Library): string | undefined => {
  const { kind } = before.actors[index]!
  const { write } = request
  if (kind === "dex") return undefined
  if (before.annotations.foreign !== after.annotations.foreign) return "a stranger's annotation did not survive a write"
  if (kind === "operator") {
    return !isLocked(before) || before.owner === request.target
      ? jumbled(before, after, index, write)
      : "an operator's break removed another lock than the one it saw"
  }
  if (before.annotations.lock === wire.malformed && after.annotations.lock !== wire.malformed) {
    return "a malformed value was not left alone"
  }
  const others = isLocked(before) && before.owner !== index
  if (others && givesUp(request)) return "a contender removed a lock that is not its own"
  if (others && write === "renew") return "a renewal overwrote a lock that is not its own"
  if (others && write === "acquire" && !isExpired(before)) return "a lock was taken that had not expired"
  if (isLocked(before) && write === "handOver") return "a lock was handed over that was not free"
  const isDexs = others && !isExpired(before) && before.actors[before.owner]?.kind === "dex"
  if (isDexs && before.annotations !== after.annotations) {
    return "a contender wrote to an object that Dex has locked"
  }
  if (write === "acquire" && after.actors.some((other, at) => at !== index && isNoOlder(other, library))) {
    return tokenIsNoGreater
  }
  const { by, label } = request.patch
  if ((givesUp(request) || write === "handOver") && by !== wire.nobody && by !== label) {
    return "the lock was handed to a waiter that is not woken"
  }
  return jumbled(before, after, index, write)
}

// A waiter keeps its place whatever others write, and nobody puts a contender into the queue that did not join. Only a contender
// that takes over from an expired holder empties the queue, so that waiters that died with the holder are not handed the lock one
// after the other. Contenders that others put there do not count.
const jumbled = (before: World, after: World, index: number, write: Request["write"]): string | undefined => {
  if (before.annotations === after.annotations) return undefined
  const others = ({ annotations }: World) =>
    wire.waitingIn(annotations).filter((waiter) => waiter !== index && !hasLitter(after, waiter))
  const [was, is] = [others(before), others(after)]
  const stayed = was.filter((waiter) => is.includes(waiter))
  if (is.filter((waiter) => was.includes(waiter)).some((waiter, place) => waiter !== stayed[place])) {
    return "waiters changed places"
  }
  const takesOver = write === "acquire" && isLocked(before)
  if (takesOver && before.owner !== index && is.length > 0) return keptDead
  const isLost = (waiter: number) =>
    !is.includes(waiter) && after.owner !== waiter && !takesOver && seeks(before.actors[waiter]!.stage)
  if (was.some(isLost)) return "a waiter lost its place in the queue"
  const isNew = (waiter: number) => {
    const { mayQueue, stage } = before.actors[waiter]!
    return !was.includes(waiter) && stage !== "Crashed" && !(mayQueue && stage === "Local")
  }
  return is.some(isNew) ? "a contender stands in the queue that had left it" : undefined
}

const secondLease = "two leases stand on the object"

const keptDead = "a contender took over and kept waiters that may be gone"

const isNoOlder = ({ token }: Actor, { hasConstantToken }: Library): boolean =>
  hasConstantToken ? token > 0 : token === 2

const givesUp = ({ write }: Request): boolean => write === "release" || write === "commit"
