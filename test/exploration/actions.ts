/** Everything that can happen next: a contender's own step, the network's whims, time, strangers. */
import type { Library } from "./library/library.ts"
import { steps, unanswered } from "./contender.ts"
import type { Emit, Rules } from "./rules.ts"
import { rob, serve } from "./server.ts"
import { forgeries } from "./vandal.ts"
import * as wire from "./wire.ts"
import { type Actor, ended, letGo, outdated, tick, withActor, type World } from "./world.ts"

/** Everything that can happen next, and what it breaks. */
export const actions = (world: World, rules: Rules, emit: Emit): void => {
  const judged: Emit = (action, next, violation) => emit(action, next, violation ?? judge(next, rules))
  for (let index = 0; index < world.actors.length; index++) {
    steps(world, index, rules, judged)
    network(world, index, rules, judged)
    const actor = world.actors[index]!
    if (canCrash(actor)) {
      judged({ name: "crashes", index, detail: 0 }, withActor(world, index, ended(letGo(actor), "Crashed")))
    }
  }
  judged({ name: "time passes", index: wire.nobody, detail: 0 }, tick(world))
  strangers(world, judged)
}

const strangers = (world: World, emit: Emit): void => {
  const { annotations } = world
  const changed = { ...world, actors: outdated(world.actors) }
  if (world.strangers > 0) {
    const foreign = annotations.foreign === 1 ? 2 : 1
    const next = { ...changed, annotations: { ...annotations, foreign }, strangers: world.strangers - 1 }
    emit({ name: "a stranger changes an annotation of its own", index: wire.nobody, detail: 0 }, next)
  }
  if (world.scribbles > 0) {
    const scribbled = { ...annotations, lock: wire.malformed }
    const next = { ...changed, annotations: scribbled, scribbles: world.scribbles - 1 }
    emit(
      { name: "a stranger writes what is no time into the lock", index: wire.nobody, detail: 0 },
      rob({ ...next, owner: wire.nobody, late: false }, world.owner)
    )
  }
  if (world.vandals > 0) {
    forgeries(world).forEach(([what, queue, litter], detail) => {
      const next = { ...changed, annotations: { ...annotations, queue }, vandals: world.vandals - 1 }
      emit({ name: `a vandal ${what}`, index: wire.nobody, detail }, { ...next, litter: world.litter | litter })
    })
  }
}

// A request reaches the server or is lost. Its answer comes, late or never. A write that its sender gave up on may still arrive.
const network = (world: World, index: number, rules: Rules, emit: Emit): void => {
  const { library } = rules
  const actor = world.actors[index]!
  const { limbo, request } = actor
  if (request !== undefined) {
    if (request.answer === "none") {
      const { next, violation } = answer(world, index, library)
      emit({ name: "the server works on the write of", index, detail: 0 }, next, violation)
      unanswered(world, index, true, rules, named("the network loses the write of", emit))
    }
    unanswered(world, index, false, rules, named("the network loses the answer to", emit))
  }
  for (let at = 0; at < limbo.length; at++) {
    const without = withActor(world, index, { ...actor, limbo: limbo.filter((_, other) => other !== at) })
    const { violation, world: next } = serve(without, index, limbo[at]!, true, library)
    emit({ name: "the server works on a write given up by", index, detail: at }, next, violation)
  }
}

const named =
  (name: string, emit: Emit): Emit =>
  ({ index }, next, violation) =>
    emit({ name, index, detail: 0 }, next, violation)

/** The server works on the request of a contender, and its answer is on the way. */
export const answer = (
  world: World,
  index: number,
  library: Library
): { readonly next: World; readonly violation: string | undefined } => {
  const request = world.actors[index]!.request!
  const { done, violation, world: served } = serve(world, index, request, false, library)
  const actor = { ...served.actors[index]!, request: { ...request, answer: done ? "done" : "refused" } as const }
  return { next: withActor(served, index, actor), violation }
}

// A crashed contender is one that is not scheduled any more. It makes a difference only if it may leave something behind.
const canCrash = ({ kind, mayQueue, stage, unanswered }: Actor): boolean =>
  kind === "kubelock" &&
  stage !== "Done" &&
  stage !== "Crashed" &&
  stage !== "Local" &&
  (unanswered || mayQueue || (stage !== "Idle" && stage !== "Read"))

/**
 * What must hold in every state. (`server.ts` judges writes.)
 *
 * A contender that was robbed (by an operator, a stranger, or a Dex with its defects) may take its lock to be valid beside a new
 * holder, but only until the lease ends that it had when it was robbed, and only with a token that the resource rejects.
 */
export const judge = (world: World, { foresight, library }: Rules): string | undefined => {
  const { annotations, late, litter, owner } = world
  let valid = 0
  for (let index = 0; index < world.actors.length; index++) {
    const { kind, left, robbed, stage, token } = world.actors[index]!
    if (library.isValid(world.actors[index]!)) {
      if (robbed === 0) {
        valid++
        if (foresight && owner === index && annotations.lock < left) {
          return "a holder relies on its lock for longer than it stands"
        }
      } else if (left > robbed - 1) return "a lock was relied on anew after it had been taken away"
      else if (owner !== index && owner !== wire.nobody && token === 2) return "a fencing token was not outdated"
    } else if (stage === "Done" && kind === "kubelock") {
      if (owner === index && annotations.lock !== wire.absent && !late) {
        return "a contender is done and has left its lock behind"
      }
      if (((litter >> index) & 1) === 0 && wire.waitingIn(annotations).includes(index)) {
        return "a contender is done and has left its place in the queue behind"
      }
    }
  }
  return valid > 1 ? "two contenders hold the lock at once" : undefined
}

/** Whether two contenders hold the lock at once: no violation if one of them was robbed of it. */
export const isShared = (world: World, library: Library): boolean => world.actors.filter(library.isValid).length > 1
