/** What passes between a machine and the world: the time, writes out, answers in. A mutation changes it here. */
import * as LockError from "../../../src/LockError.ts"
import type { Lease } from "../../../src/LockRecord.ts"
import type { ConditionalPatch, ObjectSnapshot, ServerTime } from "../../../src/ObjectStore.ts"
import type * as acquisition from "../../../src/internal/protocol/acquisitionState.ts"
import * as holding from "../../../src/internal/protocol/holding.ts"
import type { Answer, Now } from "../../../src/internal/protocol/answer.ts"
import type { Boundary, Process, RequestKind } from "../../mutations/boundary.ts"
import { type Condition, conditionOf, type Patch, patchOf } from "../patch.ts"
import { millis } from "../time.ts"
import * as wire from "../wire.ts"
import { type Actor, type Request, type Seen, ttl } from "../world.ts"

/** A contender at the boundary. `server` is the time of the step, `lease` the lease that it last wrote, if it holds one. */
export interface Explored extends Process {
  readonly holderId: string
  readonly ttl: number
  readonly server: ServerTime
  readonly lease: Lease | undefined
}

/**
 * What a mutation changes in the exploration: what passes the boundary, what a grant promises (`grants`), what a holder believes
 * of its state when it is asked whether its lease is valid (`believes`), and that a contender that gives up forgets its write that was
 * cut off (`forgetsCutOff`).
 */
export interface Mutation extends Boundary<Explored> {
  readonly grants?: (grant: acquisition.Grant, contender: Explored) => acquisition.Grant
  readonly believes?: (state: holding.State) => holding.State
  readonly forgetsCutOff?: true
}

/** How the library runs. `neutral` has a bit for each contender that has the neutral key. */
export interface Options {
  readonly neutral: number
  readonly renews: boolean
  readonly sharedWithDex: boolean
  readonly mutation: Mutation
}

/** A write that is sent. */
export interface Sent {
  readonly condition: Condition
  readonly patch: Patch
}

/** The answer to a write; `lost` if it does not come. */
export type WriteAnswer = Exclude<Request["answer"], "none"> | "lost"

/** How uncertain a contender may be of the server's clock, in ticks to either side. */
export const uncertainties = [0, 2]

/** A step of a contender: the time as it knows it, and what passes. */
export interface Step {
  readonly now: Now
  readonly contender: Explored
  /** What arrives of a write. */
  readonly send: (write: ConditionalPatch) => Sent
  /** What the contender hears of the answer to a write, or of a reading. */
  readonly hear: (answer: WriteAnswer, seen: Seen | undefined, request: RequestKind) => Answer
  readonly read: (seen: Seen | "lost") => Answer
}

/** Makes steps: of a contender that is so uncertain of the time, and that holds this lease if it holds one. */
export type Port = (index: number, uncertainty: number, lease?: Lease) => Step

/** Makes a port. */
export const make = ({ mutation, neutral }: Pick<Options, "mutation" | "neutral">): Port => {
  const times = new Map<number, Now>(
    uncertainties.map((uncertainty) => {
      const server = { earliest: millis(-uncertainty), latest: millis(uncertainty) }
      return [uncertainty, { clock: clockAt(0), server: mutation.now?.(server) ?? server }]
    })
  )
  return (index, uncertainty, lease) => {
    const now = times.get(uncertainty)!
    const holderId = wire.holderId(index)
    const owns = (other: string) => other === holderId
    const { key, otherKeys } = wire.kindOf({ neutral }, index)
    const contender = { key, otherKeys, holderId, owns, ttl: ttl * 1000, server: now.server, lease }
    const heard = (answer: Answer, request: RequestKind) => mutation.hears?.(answer, request, contender) ?? answer
    return {
      now,
      contender,
      send: (write) => {
        const { annotations, expect, labels } = mutation.sends?.(write, contender) ?? write
        return { condition: conditionOf(expect), patch: patchOf(annotations, labels) }
      },
      hear: (answer, seen, request) => heard(answerOf(answer, seen), request),
      read: (seen) => (seen === "lost" ? lost : heard({ _tag: "Found", snapshot: wire.snapshot(seen) }, "read"))
    }
  }
}

/** The error of a request whose answer is lost. */
export const unavailable = new LockError.Unavailable({ object: "object", verb: "patch", detail: "no answer" })

const lost: Answer = { _tag: "Failed", error: unavailable }

const answerOf = (answer: WriteAnswer, seen: Seen | undefined): Answer => {
  if (answer === "lost") return lost
  if (answer === "refused") return { _tag: "Refused" }
  return { _tag: "Written", snapshot: seen === undefined ? wire.snapshotOfQueue(wire.emptyQueue) : wire.snapshot(seen) }
}

/** The clocks of a contender at a tick. */
export const clockAt = (tick: number) => ({ monotonic: tick * 1000, wall: tick * 1000 })

/** From when a lease is relied on whose write is answered now. */
export const issuedAt = ({ sent }: Actor, { clockStops }: Mutation) => clockAt(clockStops === true ? 0 : -sent)

/** For how many ticks a holder relies on its lease from now on. */
export const ticksLeft = (state: holding.State): number =>
  Math.max(0, Math.ceil(holding.remaining(state, clockAt(0)) / 1000))

/** The lease of a holder. */
export const leaseOf = (lease: number, index: number): Lease => ({
  holderId: wire.holderId(index),
  expiry: wire.expiryText(lease)
})

/** Remembers what follows from a snapshot and a code for everything else that it depends on. */
export const memo = <A>() => {
  const known = new WeakMap<ObjectSnapshot, Map<number, A>>()
  return (snapshot: ObjectSnapshot, code: number, make: () => A): A => {
    let ofSnapshot = known.get(snapshot)
    if (ofSnapshot === undefined) known.set(snapshot, (ofSnapshot = new Map()))
    const found = ofSnapshot.get(code)
    if (found !== undefined) return found
    const made = make()
    ofSnapshot.set(code, made)
    return made
  }
}
