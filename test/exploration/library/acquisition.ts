/** The machine of an acquisition (`src/internal/protocol/acquisition.ts`) in the world's numbers. */
import * as machine from "../../../src/internal/protocol/acquisition.ts"
import type * as acquisition from "../../../src/internal/protocol/acquisitionState.ts"
import * as holding from "../../../src/internal/protocol/holding.ts"
import * as wire from "../wire.ts"
import { type Actor, ttl } from "../world.ts"
import {
  clockAt,
  issuedAt,
  leaseOf,
  memo,
  type Options,
  type Port,
  type Sent,
  type Step,
  ticksLeft,
  type WriteAnswer
} from "./port.ts"

/** What an acquisition does next, and what may be true without its knowing. */
export type Acquired = Pick<Actor, "unanswered" | "mayQueue" | "hasYielded"> &
  (
    | { readonly _tag: "Waits" | "BacksOff" | "Fails" }
    | ({ readonly _tag: "Acquires" | "Joins" } & Sent)
    | { readonly _tag: "Succeeds"; readonly lease: number; readonly left: number }
  )

/** Makes the acquisitions of a library. */
export const make = ({ mutation, neutral, renews, sharedWithDex }: Options, port: Port) => {
  const selves = Array.from({ length: 8 }, (_, index): acquisition.Acquisition => ({
    id: "id",
    kind: wire.kindOf({ neutral }, index),
    holderId: wire.holderId(index),
    startedAt: clockAt(0),
    settings: {
      describe: () => "object",
      ttl: ttl * 1000,
      renews,
      sharedWithDex,
      createIfMissing: false,
      includesContent: false
    }
  }))

  const phaseOf = (actor: Actor, index: number, isCached: boolean): acquisition.Phase => {
    const { hasYielded, mayQueue, request, stage, unanswered } = actor
    switch (stage) {
      case "BackingOff":
        return { _tag: "BackingOff", seen: {}, next: "Join", hasLostRace: true }
      case "Joining":
        return { _tag: "Joining", seen: {}, wasQueued: mayQueue }
      case "Acquiring": {
        const lease = leaseOf(request!.patch.lock, index)
        const grant = {
          lease,
          issuedAt: issuedAt(actor, mutation),
          validFor: ttl * 1000,
          tookOverFrom: undefined,
          displaced: 0
        }
        return { _tag: "Writing", grant, isCached, wasHeld: unanswered }
      }
      default: {
        const state = {
          seen: hasYielded ? {} : { expiry: "" },
          until: 0,
          position: undefined,
          canJoin: false,
          isFull: false
        }
        return { _tag: "Waiting", state, on: "Object", until: 0 }
      }
    }
  }

  const stateOf = (actor: Actor, index: number, isCached = false): acquisition.State => ({
    phase: phaseOf(actor, index, isCached),
    attempts: 0,
    conflicts: 0,
    contended: false,
    requestedAt: clockAt(0),
    latency: 0,
    slowest: 0,
    lastSeen: undefined,
    joinVersion: wire.version,
    holder: undefined,
    hasYielded: actor.hasYielded,
    metDex: false,
    refused: undefined,
    unqueueable: undefined,
    followedUp: false,
    inDoubt: {
      held: actor.unanswered || actor.stage === "Acquiring",
      queued: actor.mayQueue || actor.stage === "Joining"
    }
  })

  const acquired = ({ contender, send }: Step, [state, command]: acquisition.Step): Acquired => {
    const { hasYielded, inDoubt, phase } = state
    // Without Dex a free lock is left to its releaser alone, and it makes no difference whether it was left before.
    const doubts = { unanswered: inDoubt.held, mayQueue: inDoubt.queued, hasYielded: sharedWithDex && hasYielded }
    switch (command._tag) {
      case "Write": {
        const unanswered = phase._tag === "Writing" && phase.wasHeld
        return { _tag: "Acquires", ...doubts, unanswered, ...send(command.write) }
      }
      case "Join": {
        const mayQueue = phase._tag === "Joining" && phase.wasQueued
        return { _tag: "Joins", ...doubts, mayQueue, ...send(command.write) }
      }
      case "Succeed": {
        const hold = holding.begin(mutation.grants?.(command.grant, contender) ?? command.grant, {
          renewDeadline: Number.POSITIVE_INFINITY
        })
        return { _tag: "Succeeds", ...doubts, lease: wire.tickOf(hold.lease.expiry), left: ticksLeft(hold) }
      }
      case "Fail":
        return { _tag: "Fails", ...doubts }
      case "BackOff":
        return { _tag: phase._tag === "BackingOff" && phase.next === "Join" ? "BacksOff" : "Waits", ...doubts }
      case "Read":
      case "AskTime":
      case "Create":
      case "Poll":
      case "Watch":
        return { _tag: "Waits", ...doubts }
    }
  }

  const after = (actor: Actor, index: number, step: Step, event: acquisition.Event, isCached?: boolean): Acquired =>
    acquired(step, machine.step(selves[index]!, stateOf(actor, index, isCached), event, step.now))

  const decisions = memo<Acquired>()

  // What follows depends on the object in hand, if there is one, and on a few flags.
  const decided = (
    actor: Actor,
    index: number,
    uncertainty: number,
    by: (typeof decisive)[number],
    eventOf: (step: Step) => acquisition.Event
  ): Acquired => {
    const { hasYielded, mayQueue, seen, stage, unanswered } = actor
    const flags = (unanswered ? 1 : 0) + (mayQueue ? 2 : 0) + (hasYielded ? 4 : 0) + (stage === "BackingOff" ? 8 : 0)
    const code = ((flags * decisive.length + decisive.indexOf(by)) * 8 + index) * 4 + uncertainty
    return decisions(seen === undefined ? nothing : wire.snapshot(seen), code, () => {
      const step = port(index, uncertainty)
      return after(actor, index, step, eventOf(step))
    })
  }

  return {
    /**
     * A contender begins with what its predecessor in the local queue knew: a version in which the lock was free and nobody waited,
     * or the object in which it got its place in the queue.
     */
    begun: (actor: Actor, index: number, uncertainty: number): Acquired => {
      const step = port(index, uncertainty)
      const seen = actor.seen!
      const isFree = seen.lock === wire.absent && wire.waitingIn(seen).length === 0
      const start = isFree ? { freeVersion: wire.version } : { snapshot: wire.snapshot(seen) }
      return acquired(step, machine.begin(selves[index]!, { ...start, queued: actor.mayQueue }, step.now))
    },

    /** A reading found the object that the contender has in hand. */
    found: (actor: Actor, index: number, uncertainty: number): Acquired =>
      decided(actor, index, uncertainty, "Found", ({ read }) => read(actor.seen!)),

    /** A watch brought the object that the contender has in hand. */
    changed: (actor: Actor, index: number, uncertainty: number): Acquired =>
      decided(actor, index, uncertainty, "Changed", ({ contender }) => {
        const snapshot = wire.snapshot(actor.seen!)
        return { _tag: "Changed", snapshot: mutation.watches?.(snapshot, contender, true) ?? snapshot }
      }),

    /** The join is answered. */
    joined: (actor: Actor, index: number, answer: WriteAnswer, uncertainty: number): Acquired => {
      const eventOf = ({ hear }: Step) => hear(answer, actor.seen, "join")
      const step = port(index, uncertainty)
      return answer === "done"
        ? decided(actor, index, uncertainty, "Written", eventOf)
        : after(actor, index, step, eventOf(step))
    },

    /**
     * The acquiring write is answered. Nobody remembers whether it relied on what might have been outdated (`isCached`), which makes
     * a difference once it is refused.
     */
    acquired: (actor: Actor, index: number, answer: WriteAnswer): ReadonlyArray<Acquired> => {
      const step = port(index, 0)
      const heard = step.hear(answer, actor.seen, "acquire")
      return (heard._tag === "Refused" ? [false, true] : [false]).map((isCached) =>
        after(actor, index, step, heard, isCached)
      )
    },

    /** The time of a wait or a back-off has passed. */
    elapsed: (actor: Actor, index: number): Acquired =>
      decided(actor, index, 0, "Elapsed", () => ({ _tag: "Elapsed" })),

    /** The wait schedule has ended. */
    exhausted: (actor: Actor, index: number): Acquired =>
      decided(actor, index, 0, "Exhausted", () => ({ _tag: "Exhausted" })),

    /** What may be left of an acquisition that is cut off. `isSent`: its request was sent. */
    cutOff: (actor: Actor, index: number, isSent: boolean): acquisition.State["inDoubt"] => {
      const state = stateOf(actor, index)
      return isSent ? state.inDoubt : machine.unsent(state).inDoubt
    }
  }
}

const decisive = ["Found", "Changed", "Written", "Elapsed", "Exhausted"] as const

const nothing = wire.snapshotOfQueue(wire.emptyQueue)
