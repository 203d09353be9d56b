/** What a holder knows and does (`src/internal/protocol/holding.ts`) in the world's numbers. */
import type { Answer } from "../../../src/internal/protocol/answer.ts"
import * as machine from "../../../src/internal/protocol/holding.ts"
import * as wire from "../wire.ts"
import { type Actor, type Seen, ttl, writtenBit, writtenTicks } from "../world.ts"
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

/** What a holder does next, and what it knows of its lease. */
export interface Renewed extends Pick<Actor, "lease" | "written" | "left" | "unanswered"> {
  readonly next: machine.Next["_tag"]
}

const interval = 1000

/** Makes the holds of a library. */
export const make = ({ mutation, neutral, renews }: Options, port: Port) => {
  const termsOf = (index: number): machine.Terms => ({
    kind: wire.kindOf({ neutral }, index),
    holderId: wire.holderId(index),
    ttl: ttl * 1000,
    renewEvery: renews ? interval : undefined,
    renewDeadline: Number.POSITIVE_INFINITY
  })

  const stateOf = (actor: Actor, index: number): machine.State => ({
    lease: leaseOf(actor.lease, index),
    issuedAt: clockAt(0),
    validFor: actor.left * 1000,
    written: [actor.lease, ...writtenTicks(actor.written)].map(wire.expiryText),
    snapshot: wire.snapshotOfQueue(actor.known!),
    uid: "uid",
    phase: "Held",
    inDoubt: Number(actor.unanswered),
    session: undefined,
    loss: undefined
  })

  const after = (actor: Actor, index: number, eventOf: (step: Step) => Answer): Renewed => {
    const renewal: machine.Renewal = {
      lease: leaseOf(actor.request?.patch.lock ?? actor.lease, index),
      issuedAt: issuedAt(actor, mutation),
      validFor: ttl * 1000,
      write: { expect: { annotations: {} }, annotations: {} },
      settles: Number(actor.unanswered)
    }
    const step = port(index, 0, leaseOf(actor.lease, index))
    const heard = eventOf(step)
    const annotations = wire.kindOf({ neutral }, index).encode(renewal.lease)
    const answer: Answer =
      mutation.believesRenewals === true && heard._tag === "Refused"
        ? { _tag: "Written", snapshot: { uid: "", resourceVersion: "1", annotations, labels: {} } }
        : heard
    const [state, next] = machine.onAnswer(stateOf(actor, index), termsOf(index), renewal, answer, interval, step.now)
    return {
      next: next._tag,
      lease: wire.tickOf(state.lease.expiry),
      written: otherExpiries(state),
      left: ticksLeft(state),
      unanswered: state.inDoubt > 0
    }
  }

  // Of all that a holder knows, this alone says whether its lease is valid.
  const isValid = (phase: machine.State["phase"], inDoubt: boolean, left: number): boolean => {
    const grant = {
      lease: leaseOf(0, 0),
      issuedAt: clockAt(0),
      validFor: left * 1000,
      tookOverFrom: undefined,
      displaced: 0
    }
    const held = machine.begin(
      { ...grant, snapshot: wire.snapshotOfQueue(wire.emptyQueue) },
      { renewDeadline: Number.POSITIVE_INFINITY }
    )
    const state = { ...held, phase, inDoubt: Number(inDoubt) }
    return machine.isValid(mutation.believes?.(state) ?? state, clockAt(0))
  }
  const validity = (["Held", "Committing"] as const).map((phase) =>
    [false, true].map((inDoubt) => Array.from({ length: 8 }, (_, left) => isValid(phase, inDoubt, left)))
  )

  const awaited = memo<boolean>()

  return {
    /** Whether a contender that holds a lease takes it to be valid. */
    isValid: ({ left, stage, unanswered }: Actor): boolean =>
      validity[stage === "Committing" ? 1 : 0]![unanswered ? 1 : 0]![left]!,

    /** Whether others were in the queue when the holder saw it last. */
    isAwaited: (actor: Actor, index: number): boolean =>
      awaited(wire.snapshotOfQueue(actor.known!), index, () =>
        machine.isAwaited(stateOf(actor, index), termsOf(index))
      ),

    /** A holder renews its lease. */
    renew: (actor: Actor, index: number, uncertainty: number): Sent & Pick<Actor, "written"> => {
      const { now, send } = port(index, uncertainty, leaseOf(actor.lease, index))
      const [state, { write }] = machine.planRenewal(stateOf(actor, index), termsOf(index), now)
      return { ...send(write), written: otherExpiries(state) }
    },

    /** The renewal is answered. */
    renewed: (actor: Actor, index: number, answer: WriteAnswer): Renewed =>
      after(actor, index, ({ hear }) => hear(answer, actor.seen, "renew")),

    /** A holder reads the object after a refused renewal. */
    verified: (actor: Actor, index: number, seen: Seen | "lost"): Renewed =>
      after(actor, index, ({ read }) => read(seen))
  }
}

const otherExpiries = ({ lease, written }: machine.State): number =>
  written
    .filter((expiry) => expiry !== lease.expiry)
    .reduce((bits, expiry) => bits | writtenBit(wire.tickOf(expiry)), 0)
