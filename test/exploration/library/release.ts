/** The machine of a release (`src/internal/protocol/release.ts`) in the world's numbers. */
import type { HandOverPlan } from "../../../src/LockProtocol.ts"
import * as machine from "../../../src/internal/protocol/release.ts"
import { type MaybeWaiters, wakes } from "../patch.ts"
import * as wire from "../wire.ts"
import { type Actor, pendingOf, type Request, type Seen } from "../world.ts"
import { leaseOf, memo, type Options, type Port, type Sent, type Step, type WriteAnswer } from "./port.ts"

/** What a release does next. */
export type Released =
  | { readonly _tag: "Reads" }
  | { readonly _tag: "Settles"; readonly write: Request }
  | ({ readonly _tag: "Releases" | "HandsOver" | "Leaves"; readonly requeues: boolean } & Sent)
  | { readonly _tag: "Ends"; readonly outcome: machine.Outcome["_tag"]; readonly isRequeued: boolean }

const requeueOf = ({ next, release }: Actor): number => (release.requeues ? next : wire.nobody)

/** The plan of the write under way, as far as it matters. */
export const planOf = (actor: Actor): HandOverPlan => {
  const { request } = actor
  const requeue = requeueOf(actor)
  const isIn = (waiters: MaybeWaiters) => waiters !== "any" && waiters?.ids.includes(requeue) === true
  return {
    patch: { annotations: {} },
    wakes: request !== undefined && wakes(request.patch),
    requeued: request !== undefined && (isIn(request.patch.waiters) || isIn(request.patch.neutralWaiters)),
    chainStartedAt: undefined
  }
}

/** Makes the releases of a library. */
export const make = ({ mutation, neutral, sharedWithDex }: Options, port: Port) => {
  // A write over the contender's own lease needs nothing: it is not applied once that lease is gone.
  const isCutOff = (actor: Actor): boolean =>
    mutation.forgetsCutOff !== true && pendingOf(actor)?.condition.lease === wire.absent

  const selfOf = (actor: Actor, index: number): machine.Release => {
    const requeue = requeueOf(actor)
    return {
      kind: wire.kindOf({ neutral }, index),
      holderId: wire.holderId(index),
      requeue: requeue === wire.nobody ? undefined : wire.holderId(requeue),
      sharedWithDex,
      handsOver: actor.release.handsOver === "atOnce",
      cutOff: isCutOff(actor) ? cutOff : undefined
    }
  }

  const stateOf = (actor: Actor): machine.State => {
    switch (actor.stage) {
      case "Releasing":
        return actor.request!.write === "handOver"
          ? { _tag: "HandingOver", plan: planOf(actor) }
          : { _tag: "Releasing", plan: planOf(actor), plain: undefined }
      case "Leaving":
      case "Settling":
        return { _tag: actor.stage }
      default:
        return { _tag: "Reading" }
    }
  }

  const released = ({ send }: Step, [state, command]: machine.Step, actor: Actor): Released => {
    switch (command._tag) {
      case "Read":
      case "ReadLater":
        return { _tag: "Reads" }
      case "Write":
        if (state._tag === "Settling") return { _tag: "Settles", write: pendingOf(actor)! }
        return { _tag: writesOf[state._tag], requeues: command.requeues, ...send(command.write) }
      case "LookLater":
      case "Done": {
        const { _tag, requeued } = command.outcome
        return { _tag: "Ends", outcome: _tag, isRequeued: requeued !== undefined }
      }
      case "Fail":
        return { _tag: "Ends", outcome: "Passed", isRequeued: false }
    }
  }

  const releases = memo<Released>()
  const readings = memo<Released>()

  const codeOf = (actor: Actor, index: number, uncertainty: number): number =>
    ((uncertainty * 8 + index) * 16 + requeueOf(actor)) * 2 + (actor.release.handsOver === "atOnce" ? 1 : 0)

  return {
    /** A holder gives up its lease. */
    release: (actor: Actor, index: number, uncertainty: number): Released => {
      const seen = wire.snapshotOfQueue(actor.known!)
      return releases(seen, codeOf(actor, index, uncertainty) * 256 + actor.lease + 128, () => {
        const step = port(index, uncertainty)
        return released(step, machine.release(selfOf(actor, index), leaseOf(actor.lease, index), seen, step.now), actor)
      })
    },

    /** A releaser hands over a lock that is free. */
    handOver: (actor: Actor, index: number, free: Seen, uncertainty: number): Released => {
      const step = port(index, uncertainty)
      return released(step, machine.handOver(selfOf(actor, index), wire.snapshot(free), step.now), actor)
    },

    /** The write of a release is answered. */
    released: (actor: Actor, index: number, answer: WriteAnswer, uncertainty: number): Released => {
      const step = port(index, uncertainty)
      const heard = step.hear(answer, actor.seen, actor.stage === "Leaving" ? "leave" : "release")
      return released(step, machine.step(selfOf(actor, index), stateOf(actor), heard, step.now), actor)
    },

    /** A releaser reads what is left of its own. */
    found: (actor: Actor, index: number, seen: Seen, uncertainty: number): Released => {
      const find = () => {
        const step = port(index, uncertainty)
        return released(step, machine.step(selfOf(actor, index), stateOf(actor), step.read(seen), step.now), actor)
      }
      return isCutOff(actor) ? find() : readings(wire.snapshot(seen), codeOf(actor, index, uncertainty), find)
    }
  }
}

// What it writes does not matter to the machine: the world sends the request itself again.
const cutOff: machine.CutOff = { write: { expect: { resourceVersion: wire.version }, annotations: {} } }

const writesOf = {
  Releasing: "Releases",
  HandingOver: "HandsOver",
  FollowingUp: "HandsOver",
  Leaving: "Leaves",
  Reading: "Leaves",
  Settling: "Leaves"
} as const
