/** A contender that has the lock: renews it, hears that it is lost, gives it up (`internal/hold.ts`). */
import * as LockRecord from "../../src/LockRecord.ts"
import { conditionOf, patchOf, unconditional } from "./patch.ts"
import { released, relinquish } from "./leaving.ts"
import { answered, request, sending, serverTime, uncertainties } from "./requests.ts"
import type { Emit, Rules, To } from "./rules.ts"
import { term } from "./seeking.ts"
import * as wire from "./wire.ts"
import { type Actor, letGo, ttl, type World } from "./world.ts"

/** What it may do next. */
export const hold = (world: World, index: number, actor: Actor, rules: Rules, emit: Emit, to: To): void => {
  const { behaviour, commits, renews } = rules
  const holder = behaviour.holder(index)
  const contender = { key: wire.key, holderId: holder, ttl: ttl * 1000, renews, yields: false }
  switch (actor.stage) {
    case "Holding":
      if (renews && actor.left > 0) {
        for (const uncertainty of uncertainties) {
          const lease = { holderId: holder, expiry: wire.expiryText(actor.lease) }
          const next = behaviour.renewal(serverTime(uncertainty), contender, lease.expiry)
          const expect = { annotations: LockRecord.toAnnotations(wire.key, lease) }
          const condition = behaviour.expects.renew === "lease" ? conditionOf(expect) : unconditional
          const patch = patchOf(LockRecord.toAnnotations(wire.key, next), undefined)
          to("sends a renewal", sending(actor, "Renewing", request("renew", condition, patch)), undefined, uncertainty)
        }
      }
      if (commits) relinquish(world, index, actor, actor.lease, actor.known!, "Committing", rules, emit)
      giveUp(world, index, actor, rules, emit, to)
      return
    case "Renewing": {
      const { answer, patch } = actor.request!
      if (answer === "done" || (answer === "refused" && !behaviour.heedsRefusal)) {
        to("has renewed", {
          ...answered(actor, "Holding"),
          lease: patch.lock,
          left: term(actor, behaviour),
          known: actor.seen?.queue ?? actor.known
        })
      } else if (answer === "refused") to("finds its renewal refused", answered(actor, "Refused"))
      giveUp(world, index, actor, rules, emit, to)
      return
    }
    case "Refused": {
      const fate = behaviour.fate(wire.read(world.annotations).record, holder)
      if (fate._tag === "Ours") {
        to(
          "reads that the lock is still its own",
          { ...actor, stage: "Holding", lease: wire.tickOf(fate.expiry), known: world.annotations.queue },
          actor.robbed > 0 ? "a renewal after the loss did not notice it" : undefined
        )
      } else to("reads that the lock is lost", lost(actor))
      to("gets no answer to its read", { ...actor, stage: "Holding" })
      giveUp(world, index, actor, rules, emit, to)
      return
    }
    case "Committing": {
      const { answer } = actor.request!
      if (answer === "done") released(world, index, actor, rules, "has committed", emit)
      if (answer === "refused") {
        const fate = behaviour.fate(wire.read(world.annotations).record, holder)
        const { queue } = world.annotations
        const gone = lost({ ...actor, request: undefined })
        if (fate._tag !== "Ours") to("reads that the lock is gone", gone)
        else if (wire.tickOf(fate.expiry) === actor.lease && wire.sameQueue(queue, actor.known!)) {
          to("takes its commit for refused for good", gone, "a commit was refused for no reason")
        } else {
          const next = { ...actor, lease: wire.tickOf(fate.expiry), known: queue }
          relinquish(world, index, next, next.lease, queue, "Committing", rules, ({ detail }, after) =>
            emit({ name: "reads a lock of its own and commits again", index, detail }, after)
          )
        }
      }
      return
    }
  }
}

// What holders do in the end.
const giveUp = (world: World, index: number, actor: Actor, rules: Rules, emit: Emit, to: To): void => {
  if (actor.left === 0) to("lets its lease run out", lost(letGo(actor)))
  relinquish(world, index, letGo(actor), actor.lease, actor.known!, "Releasing", rules, emit)
}

/** A contender that knows that it has lost the lock. */
export const lost = (actor: Actor): Actor => ({ ...actor, stage: "Lost", left: 0, sent: 0, robbed: 0 })
