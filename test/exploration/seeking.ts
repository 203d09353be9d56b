/** A contender that wants the lock: reads, queues, takes it (`internal/acquire.ts`, `attempt.ts`). */
import * as LockRecord from "../../src/LockRecord.ts"
import type { Behaviour } from "./behaviour.ts"
import { conditionOf, onVersion, patchOf, unconditional } from "./patch.ts"
import { answered, request, sending, serverTime, uncertainties } from "./requests.ts"
import type { Rules, To } from "./rules.ts"
import * as wire from "./wire.ts"
import { type Actor, ended, letGo, see, type Seen, ttl, type World } from "./world.ts"

/** What it may do next. */
export const seek = (world: World, index: number, actor: Actor, rules: Rules, to: To): void => {
  const { behaviour } = rules
  switch (actor.stage) {
    case "Idle":
      to("reads", { ...actor, stage: "Read", seen: see(world) })
      if (actor.told !== undefined) {
        to("is told that the lock is its own", { ...actor, stage: "Read", seen: actor.told, told: undefined })
      }
      to("gives up waiting", withdrawn(actor, behaviour))
      return
    case "Read":
      contend(world, index, actor, rules, to)
      to("gives up waiting", withdrawn(actor, behaviour))
      return
    case "Joining": {
      const { answer } = actor.request!
      if (answer === "done") to("stands in the queue", { ...answered(actor, "Read"), seen: actor.seen })
      if (answer === "refused") to("finds nobody to queue behind", answered(actor, "Idle"))
      to("is interrupted", withdrawn(letGo(actor), behaviour))
      return
    }
    case "Acquiring": {
      const { answer, patch } = actor.request!
      if (answer === "done")
        to("is granted the lock", granted(answered(actor, "Holding"), patch.lock, term(actor, behaviour), actor.seen!))
      if (answer === "refused") to("has lost the race", answered(actor, "Idle"))
      to("is interrupted", withdrawn({ ...letGo(actor), mayHold: true }, behaviour))
      return
    }
  }
}

// What is made of the object in hand.
const contend = (
  world: World,
  index: number,
  actor: Actor,
  { behaviour, sharedWithDex, renews }: Rules,
  to: To
): void => {
  const seen = actor.seen!
  const holder = behaviour.holder(index)
  const contender = {
    key: wire.key,
    holderId: holder,
    ttl: ttl * 1000,
    renews,
    yields: sharedWithDex && !actor.leftGap
  }
  const { queue, record } = wire.read(seen)
  for (const uncertainty of uncertainties) {
    const decision = behaviour.decide(record, queue, serverTime(uncertainty), contender)
    switch (decision._tag) {
      case "Acquire": {
        const { expiry } = decision.lease
        const patch = patchOf(
          { ...LockRecord.toAnnotations(wire.key, { holderId: holder, expiry }), ...decision.queue },
          undefined
        )
        const condition = behaviour.expects.acquire === "version" ? onVersion : unconditional
        const write = request("acquire", condition, patch, seen.current)
        to("sends an acquiring write", sending(actor, "Acquiring", write), undefined, uncertainty)
        break
      }
      case "Claim": {
        const until = wire.tickOf(decision.lease.expiry)
        const isPresent = seen.current && world.owner === index
        const isOutdone = seen.current && world.actors.some(({ token }, at) => at !== index && token === 2)
        const next = granted({ ...actor, stage: "Holding" }, until, Math.floor(decision.validFor / 1000), seen)
        to(
          "claims the lock",
          { ...next, token: seen.current ? 2 : 1, robbed: isPresent ? 0 : actor.robbed },
          isOutdone ? "a fencing token is no greater than that of an acquisition before it" : undefined,
          uncertainty
        )
        break
      }
      case "Wait": {
        const leftGap = decision.seen.expiry === undefined
        if (seen.owner === index && seen.lock !== wire.absent) {
          to("waits", resting(actor), "a contender waits out a lock of its own", uncertainty)
        } else if (decision.canJoin) {
          const write = behaviour.join(wire.key, holder)
          const join = request("join", conditionOf(write.expect), patchOf(write.annotations, undefined), seen.current)
          to("joins the queue", { ...sending(actor, "Joining", join), mayQueue: true, leftGap }, undefined, uncertainty)
        } else to("waits", { ...resting(actor), leftGap }, undefined, uncertainty)
        break
      }
      case "Malformed":
        to("fails on a malformed lock", withdrawn(actor, behaviour))
        break
    }
  }
}

const resting = (actor: Actor): Actor => ({ ...actor, stage: "Idle", seen: undefined })

const granted = (actor: Actor, lease: number, left: number, seen: Seen): Actor => ({
  ...actor,
  mayHold: false,
  mayQueue: false,
  leftGap: false,
  lease,
  left,
  seen: undefined,
  told: undefined,
  known: seen.queue
})

/** For how long a lease is relied on whose write was just answered. */
export const term = ({ sent }: Actor, { countsFrom }: Behaviour): number =>
  countsFrom === "sending" ? ttl - sent : ttl

const withdrawn = (actor: Actor, behaviour: Behaviour): Actor =>
  (actor.mayHold && behaviour.followsUp) || (actor.mayQueue && behaviour.leaves)
    ? {
        ...letGo(actor),
        stage: "Removing",
        mayHold: false,
        mayQueue: false,
        leftGap: false,
        sent: 0,
        robbed: 0,
        seen: undefined,
        told: undefined
      }
    : ended(actor, "Done")
