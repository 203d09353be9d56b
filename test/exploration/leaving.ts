/** A contender that gives up: the lock, a place in the queue, whatever may be its own (`internal/release.ts`). */
import type { Behaviour } from "./behaviour.ts"
import { conditionOf, keptLabel, onVersion, patchOf, unconditional } from "./patch.ts"
import { answered, request, sending, serverTime, uncertainties } from "./requests.ts"
import type { Emit, Rules, To } from "./rules.ts"
import * as wire from "./wire.ts"
import { type Actor, ended, see, type Seen, withActor, type World } from "./world.ts"

/** What it may do next. */
export const leave = (world: World, index: number, actor: Actor, rules: Rules, emit: Emit, to: To): void => {
  switch (actor.stage) {
    case "Lost":
      relinquish(world, index, actor, actor.lease, actor.known!, "Releasing", rules, emit)
      return
    case "Releasing": {
      const { answer } = actor.request!
      if (answer === "done") released(world, index, actor, rules, "has released", emit)
      if (answer === "refused") to("finds its release refused", answered(actor, "Removing"))
      return
    }
    case "Removing":
      remove(world, index, actor, rules, emit)
      return
    case "Leaving": {
      const { answer } = actor.request!
      if (answer === "refused") to("finds that the queue has changed", answered(actor, "Removing"))
      if (answer === "done") left(world, index, actor, actor.seen!, "has left the queue", rules, emit)
    }
  }
}

/**
 * Gives up a lease that stands: to the first in the queue, where there is one. Then whoever waits in this process may ask
 * for a place in the queue with the same write.
 */
export const relinquish = (
  world: World,
  index: number,
  actor: Actor,
  lease: number,
  known: wire.Queue,
  stage: "Committing" | "Releasing",
  { behaviour, sharedWithDex }: Rules,
  emit: Emit
): void => {
  const name = stage === "Committing" ? "sends a commit" : "sends its release"
  const held = { holderId: behaviour.holder(index), expiry: wire.expiryText(lease) }
  const seen = wire.readQueue(known)
  const isAwaited = seen.queue.waiters.length > 0
  const leaver = stage === "Committing" ? { ...actor, next: wire.nobody } : actor
  for (const { again, detail, leaving, time } of departures(index, leaver, behaviour, sharedWithDex, isAwaited)) {
    const { succession, write } = behaviour.relinquish(seen, held, time, leaving)
    const given = request("release", conditionOf(write.expect), patchOf(write.annotations, write.labels))
    const next = withActor(world, index, sending(stage === "Committing" ? actor : spent(actor), stage, given))
    emit({ name, index, detail }, succession.requeued ? queueing(next, again) : next)
  }
}

/** The lock was given up. Who arrived in the meantime is handed it by a second write. */
export const released = (world: World, index: number, actor: Actor, rules: Rules, name: string, emit: Emit): void => {
  const { patch, write } = actor.request!
  const wakes = patch.label !== wire.nobody && patch.label !== keptLabel
  if (write === "grant" || wakes) {
    emit({ name, index, detail: 0 }, withActor(world, index, ended(answered(actor, "Releasing"), "Done")))
  } else handOn(world, index, actor, actor.seen!, name, rules, emit)
}

// A lock that is free is handed to the first who waits.
const handOn = (
  world: World,
  index: number,
  actor: Actor,
  free: Seen,
  name: string,
  { behaviour, sharedWithDex }: Rules,
  emit: Emit
): void => {
  const found = wire.read(free)
  if (found.queue.waiters.length === 0) {
    emit({ name, index, detail: 0 }, withActor(world, index, ended(answered(actor, "Releasing"), "Done")))
    return
  }
  for (const { again, detail, leaving, time } of departures(index, actor, behaviour, sharedWithDex, true)) {
    const { requeued, write } = behaviour.succession(found, time, leaving)
    const condition = behaviour.expects.grant === "version" ? onVersion : unconditional
    const given = request("grant", condition, patchOf(write.annotations, write.labels), free.current)
    const next = withActor(world, index, sending(spent(actor), "Releasing", given))
    const action = { name: `${name} and hands the lock on to who waits`, index, detail }
    emit(action, requeued ? queueing(next, again) : next)
  }
}

// In what ways a lock is given up: as its holder knows the time, and with or without asking for a place in the queue for
// whoever waits in this process. Where nobody is to be handed the lock they come to the same.
const departures = (index: number, actor: Actor, behaviour: Behaviour, sharedWithDex: boolean, isAwaited: boolean) => {
  const agains = isAwaited && actor.next !== wire.nobody ? [wire.nobody, actor.next] : [wire.nobody]
  const holder = behaviour.holder(index)
  return (isAwaited ? uncertainties : [0]).flatMap((uncertainty) =>
    agains.map((again, more) => ({
      again,
      detail: uncertainty + more,
      time: serverTime(uncertainty),
      leaving: {
        key: wire.key,
        holderId: holder,
        sharedWithDex,
        requeue: again === wire.nobody ? undefined : behaviour.holder(again)
      }
    }))
  )
}

const queueing = (world: World, index: number): World =>
  withActor(world, index, { ...world.actors[index]!, mayQueue: true })

// Its lease is no longer relied on.
const spent = (actor: Actor): Actor => ({ ...actor, lease: 0, left: 0, robbed: 0, known: undefined })

// Looks what is left of its own. It leaves the queue first.
const remove = (world: World, index: number, actor: Actor, rules: Rules, emit: Emit): void => {
  const { behaviour } = rules
  const departure = behaviour.departure(wire.key, wire.read(world.annotations).annotations, behaviour.holder(index))
  if (departure === undefined)
    return left(world, index, actor, see(world), "reads what is left of its own", rules, emit)
  const target = world.annotations.lock === wire.absent ? wire.nobody : index
  const write = request(
    "leave",
    conditionOf(departure.expect),
    patchOf(departure.annotations, undefined),
    false,
    target
  )
  const action = { name: "reads its place in the queue and leaves it", index, detail: 0 }
  emit(action, withActor(world, index, sending(actor, "Leaving", write)))
}

// It stands in the queue no more. The lock may be its own all the same, or free.
const left = (world: World, index: number, actor: Actor, seen: Seen, name: string, rules: Rules, emit: Emit): void => {
  const { behaviour } = rules
  const fate = behaviour.fate(wire.read(seen).record, behaviour.holder(index))
  const wasFree = actor.request?.target === wire.nobody && !behaviour.judgesAnswer
  if (wasFree || fate._tag === "Removed") handOn(world, index, actor, seen, name, rules, emit)
  else if (fate._tag === "Ours") {
    const lease = wire.tickOf(fate.expiry)
    relinquish(world, index, actor, lease, seen.queue, "Releasing", rules, ({ detail }, next) =>
      emit({ name: `${name} and sends its release`, index, detail }, next)
    )
  } else emit({ name, index, detail: 0 }, withActor(world, index, ended(answered(actor, "Removing"), "Done")))
}
