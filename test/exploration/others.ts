/** Who is no kubelock: Dex as it is known, and an operator's `Lock.break`. */
import { keptLabel, onVersion, patchOf, type Patch, unconditional } from "./patch.ts"
import { answered, request, sending, serverTime } from "./requests.ts"
import type { Rules, To } from "./rules.ts"
import * as wire from "./wire.ts"
import { type Actor, ended, see, type World } from "./world.ts"

/** What a Dex may do next. It replaces all annotations whenever it writes. */
export const dex = (world: World, actor: Actor, ahead: number, to: To): void => {
  switch (actor.stage) {
    case "Idle":
      to("reads", { ...actor, stage: "Read", seen: see(world) })
      return
    case "Read": {
      const { current, lock } = actor.seen!
      if (lock === wire.malformed) to("fails on a malformed lock", ended(actor, "Done"))
      else if (lock === wire.absent || ahead > lock) {
        const write = request("acquire", onVersion, dexPatch(ahead + dexTtl), current)
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
      const write = request("release", onVersion, dexPatch(wire.absent), current, owner)
      to("sends its release", sending(actor, "Releasing", write))
      return
    }
    case "Releasing":
      if (actor.request!.answer !== "none") to("is done", ended({ ...actor, request: undefined }, "Done"))
  }
}

const dexTtl = 2

const dexPatch = (lock: number): Patch => ({
  lock,
  by: wire.nobody,
  line: undefined,
  clears: 0,
  arrives: wire.nobody,
  label: keptLabel
})

/** What an operator may do next, who breaks the lock: the first in the queue has it then. */
export const operator = (world: World, actor: Actor, { behaviour, sharedWithDex }: Rules, to: To): void => {
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
      const found = wire.read(actor.seen!)
      const holder = found.record._tag === "Present" ? (found.record.holder ?? "") : ""
      const leaving = { key: wire.key, holderId: holder, requeue: undefined, sharedWithDex }
      const { write } = behaviour.succession(found, serverTime(0), leaving)
      const condition = behaviour.expects.break === "version" ? onVersion : unconditional
      const removal = request("release", condition, patchOf(write.annotations, write.labels), current, owner)
      to("sends the removal", sending(actor, "Releasing", removal))
      return
    }
    case "Releasing":
      if (actor.request!.answer === "done") to("has broken the lock", ended({ ...actor, request: undefined }, "Done"))
      if (actor.request!.answer === "refused") to("has lost the race", answered(actor, "Idle"))
  }
}
