/** Contenders that are not kubelock: a Dex, and an operator that runs `Lock.break`. */
import * as LockProtocol from "../../src/LockProtocol.ts"
import { type Condition, keptLabel, onVersion, type Patch } from "./patch.ts"
import { answered, request, sending } from "./requests.ts"
import type { Rules, To } from "./rules.ts"
import { millis } from "./time.ts"
import * as wire from "./wire.ts"
import { type Actor, ended, see, type World } from "./world.ts"

/** What a Dex may do next. Each of its writes replaces all annotations. */
export const dex = (world: World, actor: Actor, ahead: number, to: To): void => {
  switch (actor.stage) {
    case "Idle":
      to("reads", { ...actor, stage: "Read", seen: see(world) })
      return
    case "Read": {
      const { current, lock } = actor.seen!
      if (lock === wire.malformed) to("fails", ended(actor, "Done"))
      else if (lock === wire.absent || ahead > lock) {
        const write = request("acquire", dexWrite(ahead + dexTtl), current)
        to("sends an acquiring write", sending(actor, "Acquiring", write))
      } else to("waits", { ...actor, stage: "Idle", seen: undefined })
      return
    }
    case "Acquiring":
      if (actor.request!.answer === "done") to("is granted the lock", answered(actor, "Holding"))
      if (actor.request!.answer === "refused") to("has lost the race", answered(actor, "Idle"))
      return
    case "Holding":
      to("reads in order to release", { ...actor, stage: "Removing", seen: see(world) })
      return
    case "Removing": {
      const { current, owner } = actor.seen!
      const write = request("release", dexWrite(wire.absent), current, owner)
      to("sends its release", sending(actor, "Releasing", write))
      return
    }
    case "Releasing":
      if (actor.request!.answer !== "none") to("is done", ended({ ...actor, request: undefined }, "Done"))
  }
}

const dexTtl = 2

const dexWrite = (lock: number): { readonly condition: Condition; readonly patch: Patch } => ({
  condition: onVersion,
  patch: {
    lock,
    by: wire.nobody,
    removes: 0,
    waiters: undefined,
    neutralWaiters: undefined,
    clears: 0,
    joins: wire.nobody,
    label: keptLabel
  }
})

/** What an operator may do next. It breaks the lock, and the first waiter has it then. */
export const operator = (
  world: World,
  index: number,
  actor: Actor,
  { library, sharedWithDex }: Rules,
  to: To
): void => {
  switch (actor.stage) {
    case "Idle":
      to("reads", { ...actor, stage: "Read", seen: see(world) })
      return
    case "Read": {
      const { current, lock, owner } = actor.seen!
      if (lock === wire.absent) {
        to("finds nothing to break", ended(actor, "Done"))
        return
      }
      const found = wire.snapshot(actor.seen!)
      const kind = wire.kindOf(world.annotations.queue, index)
      const now = { earliest: millis(0), latest: millis(0) }
      const patch = LockProtocol.planBreak(found, now, { kind, sharedWithDex })
      const sent = library.sent(index, { expect: { resourceVersion: found.resourceVersion }, ...patch })
      to("sends the removal", sending(actor, "Releasing", request("release", sent, current, owner)))
      return
    }
    case "Releasing":
      if (actor.request!.answer === "done") to("has broken the lock", ended({ ...actor, request: undefined }, "Done"))
      if (actor.request!.answer === "refused") to("has lost the race", answered(actor, "Idle"))
  }
}
