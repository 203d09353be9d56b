/**
 * The library's machines (`src/internal/protocol`) in the world's numbers.
 *
 * Each function makes the state of a machine from what a contender knows, takes the library's own step, and translates the command
 * back. A mutation changes what passes in between.
 *
 * What does not matter for safety is left out of the states, so that more of them are one: how long waits and back-offs last, how
 * often a contender has tried, which version it knows. A wait may end at any time.
 */
import * as LockError from "../../src/LockError.ts"
import type { Lease } from "../../src/LockRecord.ts"
import type { ConditionalPatch, ObjectSnapshot, ServerTime } from "../../src/ObjectStore.ts"
import * as acquisition from "../../src/internal/protocol/acquisition.ts"
import type { Answer, Now } from "../../src/internal/protocol/answer.ts"
import * as commit from "../../src/internal/protocol/commit.ts"
import * as holding from "../../src/internal/protocol/holding.ts"
import * as release from "../../src/internal/protocol/release.ts"
import type { Boundary, Process, RequestKind } from "../mutations/boundary.ts"
import { type Condition, conditionOf, type Patch, patchOf, wakes } from "./patch.ts"
import * as wire from "./wire.ts"
import { type Actor, holds, type Request, type Seen, ttl, writtenBit, writtenTicks } from "./world.ts"

/** A contender at the boundary. `server` is the time of the step, `lease` the lease that it last wrote, if it holds one. */
export interface Explored extends Process {
  readonly holderId: string
  readonly ttl: number
  readonly server: ServerTime
  readonly lease: Lease | undefined
}

/**
 * What a mutation changes in the exploration: what passes the boundary, what a grant promises (`grants`), and whether a lock counts
 * as valid while a commit is under way (`isValidWhileCommitting`).
 */
export interface Mutation extends Boundary<Explored> {
  readonly grants?: (grant: acquisition.Grant, contender: Explored) => acquisition.Grant
  readonly isValidWhileCommitting?: true
}

/** How the library runs. */
export interface Options {
  readonly renews: boolean
  readonly sharedWithDex: boolean
  readonly mutation: Mutation
}

/** How uncertain a contender may be of the server's clock, in ticks to either side. */
export const uncertainties = [0, 2]

/** A write that is sent. */
export interface Sent {
  readonly condition: Condition
  readonly patch: Patch
}

/** The answer to a write; `lost` if it does not come. */
export type WriteAnswer = Exclude<Request["answer"], "none"> | "lost"

/** What an acquisition does next, and what may be true without its knowing. */
export type Acquired = Pick<Actor, "unanswered" | "mayQueue" | "hasYielded"> &
  (
    | { readonly _tag: "Waits" | "BacksOff" | "Fails" }
    | ({ readonly _tag: "Acquires" | "Joins" } & Sent)
    | { readonly _tag: "Succeeds"; readonly lease: number; readonly left: number }
  )

/** What a release does next. */
export type Released =
  | { readonly _tag: "Reads" }
  | ({ readonly _tag: "Releases" | "HandsOver" | "Leaves"; readonly requeues: boolean } & Sent)
  | { readonly _tag: "Ends"; readonly outcome: release.Outcome["_tag"]; readonly isRequeued: boolean }

/** What a holder does next. */
export interface Renewed extends Pick<Actor, "lease" | "written"> {
  readonly next: holding.Next["_tag"]
  readonly left: number
}

/** What a commit does next. `Unsettled`: nobody can tell whether it was applied. `Rejected`: the server refuses it for good. */
export type Committed =
  | ({ readonly _tag: "Sends" } & Sent)
  | { readonly _tag: "Reads" | "Lost" | "Unsettled" | "Rejected" }
  | ({ readonly _tag: "Waits" } & Pick<Actor, "lease" | "unanswered">)
  | { readonly _tag: "Released"; readonly outcome: release.Outcome["_tag"] | undefined }

/** The library. */
export type Library = ReturnType<typeof make>

/** The library as it is, or with a mutation. */
export const make = ({ mutation, renews, sharedWithDex }: Options) => {
  const { kind } = wire

  const times = new Map<number, Now>(
    uncertainties.map((uncertainty) => {
      const server = { earliest: wire.millis(-uncertainty), latest: wire.millis(uncertainty) }
      return [uncertainty, { clock: clockAt(0), server: mutation.now?.(server) ?? server }]
    })
  )
  const nowOf = (uncertainty: number): Now => times.get(uncertainty)!

  const contenderOf = (index: number, { server }: Now, lease?: Lease): Explored => {
    const holderId = wire.holderId(index)
    return { holderId, owns: (other) => other === holderId, ttl: ttl * 1000, server, lease }
  }

  const sentBy = (contender: Explored, write: ConditionalPatch): Sent => {
    const { annotations, expect, labels } = mutation.sends?.(write, contender) ?? write
    return { condition: conditionOf(expect), patch: patchOf(annotations, labels) }
  }

  const heardBy = (contender: Explored, answer: Answer, request: RequestKind): Answer =>
    mutation.hears?.(answer, request, contender) ?? answer

  const answerOf = (answer: WriteAnswer, seen: Seen | undefined): Answer => {
    switch (answer) {
      case "done":
        return {
          _tag: "Written",
          snapshot: seen === undefined ? wire.snapshotOfQueue(wire.emptyQueue) : wire.snapshot(seen)
        }
      case "refused":
        return { _tag: "Refused" }
      case "lost":
        return { _tag: "Failed", error: unavailable }
    }
  }

  // Acquisition.

  const acquisitions = Array.from({ length: 8 }, (_, index): acquisition.Acquisition => ({
    id: "id",
    object: "object",
    kind,
    holderId: wire.holderId(index),
    ttl: ttl * 1000,
    renews,
    sharedWithDex,
    createIfMissing: false,
    includesContent: false,
    startedAt: clockAt(0)
  }))

  const phaseOf = (actor: Actor, index: number, isCached: boolean): acquisition.Phase => {
    const { hasYielded, mayQueue, request, sent, stage, unanswered } = actor
    switch (stage) {
      case "BackingOff":
        return { _tag: "BackingOff", seen: {}, next: "Join", hasLostRace: true }
      case "Joining":
        return { _tag: "Joining", seen: {}, wasQueued: mayQueue }
      case "Acquiring": {
        const lease = { holderId: wire.holderId(index), expiry: wire.expiryText(request!.patch.lock) }
        const issuedAt = clockAt(mutation.clockStops === true ? 0 : -sent)
        const grant = { lease, issuedAt, validFor: ttl * 1000, tookOverFrom: undefined }
        return { _tag: "Writing", grant, isCached, wasHeld: unanswered }
      }
      default: {
        const seen = hasYielded ? {} : { expiry: "" }
        const state = { seen, until: 0, position: undefined, canJoin: false }
        return { _tag: "Waiting", state, on: "Object", until: 0 }
      }
    }
  }

  const acquisitionOf = (actor: Actor, index: number, isCached = false): acquisition.State => ({
    phase: phaseOf(actor, index, isCached),
    attempts: 0,
    conflicts: 0,
    contended: false,
    requestedAt: clockAt(0),
    latency: 0,
    lastVersion: undefined,
    joinVersion: wire.version,
    holder: undefined,
    hasYielded: actor.hasYielded,
    followedUp: false,
    inDoubt: {
      held: actor.unanswered || actor.stage === "Acquiring",
      queued: actor.mayQueue || actor.stage === "Joining",
      writing: false
    }
  })

  const acquired = (index: number, now: Now, [state, command]: acquisition.Step): Acquired => {
    const { hasYielded, inDoubt, phase } = state
    // If Dex shares nothing, a free lock is left to a releaser alone, and it makes no difference whether it was before.
    const doubts = { unanswered: inDoubt.held, mayQueue: inDoubt.queued, hasYielded: sharedWithDex && hasYielded }
    const contender = contenderOf(index, now)
    switch (command._tag) {
      case "Write": {
        const unanswered = phase._tag === "Writing" && phase.wasHeld
        return { _tag: "Acquires", ...doubts, unanswered, ...sentBy(contender, command.write) }
      }
      case "Join": {
        const mayQueue = phase._tag === "Joining" && phase.wasQueued
        return { _tag: "Joins", ...doubts, mayQueue, ...sentBy(contender, command.write) }
      }
      case "Succeed": {
        const { issuedAt, lease, validFor } = mutation.grants?.(command.grant, contender) ?? command.grant
        return { _tag: "Succeeds", ...doubts, lease: wire.tickOf(lease.expiry), left: ticksLeft(validFor, issuedAt) }
      }
      case "Fail":
        return { _tag: "Fails", ...doubts }
      case "BackOff":
        return { _tag: phase._tag === "BackingOff" && phase.next === "Join" ? "BacksOff" : "Waits", ...doubts }
      case "Read":
      case "Create":
      case "Poll":
      case "Watch":
        return { _tag: "Waits", ...doubts }
    }
  }

  const decisions = memo<Acquired>()

  // Decisions by the same snapshot and the same knowledge are the same.
  const decided = (
    actor: Actor,
    index: number,
    uncertainty: number,
    by: "Found" | "Changed" | "Written",
    snapshot: ObjectSnapshot
  ): Acquired => {
    const { hasYielded, mayQueue, unanswered } = actor
    const flags = (unanswered ? 1 : 0) + (mayQueue ? 2 : 0) + (hasYielded ? 4 : 0)
    const code = ((flags * 3 + decisiveEvents.indexOf(by)) * 8 + index) * 4 + uncertainty
    return decisions(snapshot, code, () => {
      const now = nowOf(uncertainty)
      const contender = contenderOf(index, now)
      const event: acquisition.Event =
        by === "Changed"
          ? { _tag: by, snapshot: mutation.watches?.(snapshot, contender, true) ?? snapshot }
          : heardBy(contender, { _tag: by, snapshot }, by === "Found" ? "read" : "join")
      return acquired(index, now, acquisition.step(acquisitions[index]!, acquisitionOf(actor, index), event, now))
    })
  }

  // Holding.

  const leaseOf = ({ lease }: Pick<Actor, "lease">, index: number): Lease => ({
    holderId: wire.holderId(index),
    expiry: wire.expiryText(lease)
  })

  const termsOf = (index: number): holding.Terms => ({
    kind,
    holderId: wire.holderId(index),
    ttl: ttl * 1000,
    renewEvery: renews ? interval : undefined
  })

  const holdingOf = (actor: Actor, index: number): holding.State => ({
    lease: leaseOf(actor, index),
    issuedAt: clockAt(0),
    validFor: actor.left * 1000,
    written: [actor.lease, ...writtenTicks(actor.written)].map(wire.expiryText),
    snapshot: wire.snapshotOfQueue(actor.known!),
    uid: "uid",
    phase: "Held"
  })

  const renewedBy = (actor: Actor, index: number, answer: Answer): Renewed => {
    const renewal: holding.Renewal = {
      lease: leaseOf({ lease: actor.request?.patch.lock ?? actor.lease }, index),
      issuedAt: clockAt(mutation.clockStops === true ? 0 : -actor.sent),
      write: { expect: { annotations: {} }, annotations: {} }
    }
    const [state, next] = holding.onAnswer(holdingOf(actor, index), termsOf(index), renewal, answer, interval)
    return { ...writtenIn(state), next: next._tag, left: ticksLeft(state.validFor, state.issuedAt) }
  }

  const writtenIn = ({ lease, written }: holding.State): Pick<Actor, "lease" | "written"> => ({
    lease: wire.tickOf(lease.expiry),
    written: written
      .filter((expiry) => expiry !== lease.expiry)
      .reduce((bits, expiry) => bits | writtenBit(wire.tickOf(expiry)), 0)
  })

  // Release and commit.

  const requestOf = (index: number, requeue: number): Omit<release.Release, "handsOver"> => ({
    kind,
    holderId: wire.holderId(index),
    requeue: requeue === wire.nobody ? undefined : wire.holderId(requeue),
    sharedWithDex
  })

  const requeueOf = ({ next, release }: Actor): number => (release.requeues ? next : wire.nobody)

  const releaseOf = (actor: Actor, index: number): release.Release => ({
    ...requestOf(index, requeueOf(actor)),
    handsOver: actor.release.handsOver === "atOnce"
  })

  const releases = memo<Released>()
  const looks = memo<Released>()

  const codeOf = (actor: Actor, index: number, uncertainty: number): number =>
    ((uncertainty * 8 + index) * 16 + requeueOf(actor)) * 2 + (actor.release.handsOver === "atOnce" ? 1 : 0)

  const planOf = (actor: Actor) => {
    const { patch } = actor.request!
    const { waiters } = patch
    const requeue = requeueOf(actor)
    const requeued = waiters !== "any" && waiters?.ids.includes(requeue) === true
    return { patch: { annotations: {} }, wakes: wakes(patch), requeued }
  }

  const stateOf = (actor: Actor): release.State => {
    switch (actor.stage) {
      case "Releasing":
        return { _tag: actor.request!.write === "handOver" ? "HandingOver" : "Releasing", plan: planOf(actor) }
      case "Leaving":
        return { _tag: "Leaving" }
      default:
        return { _tag: "Reading" }
    }
  }

  const released = (contender: Explored, [state, command]: release.Step): Released => {
    switch (command._tag) {
      case "Read":
      case "ReadLater":
        return { _tag: "Reads" }
      case "Write":
        return { _tag: writesIn[state._tag], requeues: command.requeues, ...sentBy(contender, command.write) }
      case "Done": {
        const { _tag, requeued } = command.outcome
        return { _tag: "Ends", outcome: _tag, isRequeued: requeued !== undefined }
      }
      case "Fail":
        return { _tag: "Ends", outcome: "Passed", isRequeued: false }
    }
  }

  const commitOf = (index: number): commit.Commit => ({
    ...requestOf(index, wire.nobody),
    object: "object",
    content: [{ path: [contentField], value: wire.holderId(index) }]
  })

  const commitStateOf = (actor: Actor, index: number, request: commit.State["request"]): commit.State => ({
    request,
    lease: leaseOf(actor, index),
    snapshot: wire.snapshotOfQueue(actor.known!),
    plan: actor.request === undefined ? { patch: { annotations: {} }, wakes: false, requeued: false } : planOf(actor),
    unanswered: actor.unanswered ? unavailable : undefined
  })

  const committed = (contender: Explored, [state, command]: commit.Step): Committed => {
    switch (command._tag) {
      case "Write":
        return { _tag: "Sends", ...sentBy(contender, command.write) }
      case "Read":
        return { _tag: "Reads" }
      case "WriteLater":
        return {
          _tag: "Waits",
          lease: wire.tickOf(state.lease.expiry),
          unanswered: state.unanswered !== undefined
        }
      case "Done":
        return { _tag: "Released", outcome: command.outcome?._tag }
      case "Lost":
        return { _tag: "Lost" }
      case "Fail":
        return { _tag: command.error._tag === "LockUnavailable" ? "Unsettled" : "Rejected" }
    }
  }

  return {
    mutation,

    /** Whether a write replaces all annotations. */
    replacesAll: mutation.wipes?.("example.com/stranger", "acquire") ?? false,

    /** What arrives of a write that no machine commands. */
    sent: (index: number, write: ConditionalPatch): Sent => sentBy(contenderOf(index, nowOf(0)), write),

    /**
     * A contender begins with what its predecessor in the local queue knew: a version in which the lock was free and nobody waited,
     * or the object in which it got its place in the queue.
     */
    begun: (actor: Actor, index: number, uncertainty: number): Acquired => {
      const now = nowOf(uncertainty)
      const seen = actor.seen!
      const isFree = seen.lock === wire.absent && wire.waitingIn(seen).length === 0
      const start = isFree ? { freeVersion: wire.version } : { snapshot: wire.snapshot(seen) }
      return acquired(index, now, acquisition.begin(acquisitions[index]!, { ...start, queued: actor.mayQueue }, now))
    },

    /** A seeking contender found the object by a reading, or heard of it by a watch. */
    found: (actor: Actor, index: number, by: "Found" | "Changed", uncertainty: number): Acquired =>
      decided(actor, index, uncertainty, by, wire.snapshot(actor.seen!)),

    /** The acquiring write is answered. It relied on what may have been outdated, or it did not: nobody remembers. */
    acquired: (actor: Actor, index: number, answer: WriteAnswer): ReadonlyArray<Acquired> => {
      const now = nowOf(0)
      const heard = heardBy(contenderOf(index, now), answerOf(answer, actor.seen), "acquire")
      return [false, ...(heard._tag === "Refused" ? [true] : [])].map((isCached) =>
        acquired(index, now, acquisition.step(acquisitions[index]!, acquisitionOf(actor, index, isCached), heard, now))
      )
    },

    /** The join is answered. */
    joined: (actor: Actor, index: number, answer: WriteAnswer, uncertainty: number): Acquired => {
      if (answer === "done") return decided(actor, index, uncertainty, "Written", wire.snapshot(actor.seen!))
      const now = nowOf(uncertainty)
      const heard = heardBy(contenderOf(index, now), answerOf(answer, undefined), "join")
      return acquired(index, now, acquisition.step(acquisitions[index]!, acquisitionOf(actor, index), heard, now))
    },

    /** The back-off is over. */
    backedOff: (actor: Actor, index: number): Acquired => {
      const now = nowOf(0)
      return acquired(
        index,
        now,
        acquisition.step(acquisitions[index]!, acquisitionOf(actor, index), { _tag: "Elapsed" }, now)
      )
    },

    /** What may be left of an acquisition that is cut off. `isSent`: its request was sent. */
    cutOff: (actor: Actor, index: number, isSent: boolean): acquisition.State["inDoubt"] => {
      const state = acquisitionOf(actor, index)
      return isSent ? state.inDoubt : acquisition.unsent(state).inDoubt
    },

    /** A holder renews its lease. */
    renew: (actor: Actor, index: number, uncertainty: number): Sent & Pick<Actor, "written"> => {
      const now = nowOf(uncertainty)
      const [state, { write }] = holding.planRenewal(holdingOf(actor, index), termsOf(index), now)
      return { ...sentBy(contenderOf(index, now, state.lease), write), written: writtenIn(state).written }
    },

    /** The renewal is answered. */
    renewed: (actor: Actor, index: number, answer: WriteAnswer): Renewed => {
      const contender = contenderOf(index, nowOf(0), leaseOf(actor, index))
      return renewedBy(actor, index, heardBy(contender, answerOf(answer, actor.seen), "renew"))
    },

    /** A holder reads the object after a refused renewal. */
    verified: (actor: Actor, index: number, seen: Seen | "lost"): Renewed => {
      const contender = contenderOf(index, nowOf(0), leaseOf(actor, index))
      const answer: Answer =
        seen === "lost" ? answerOf(seen, undefined) : { _tag: "Found", snapshot: wire.snapshot(seen) }
      return renewedBy(actor, index, heardBy(contender, answer, "read"))
    },

    /** A holder gives up its lease. */
    release: (actor: Actor, index: number, uncertainty: number): Released => {
      const seen = wire.snapshotOfQueue(actor.known!)
      return releases(seen, codeOf(actor, index, uncertainty) * 256 + actor.lease + 128, () => {
        const now = nowOf(uncertainty)
        const next = release.release(releaseOf(actor, index), leaseOf(actor, index), seen, now)
        return released(contenderOf(index, now), next)
      })
    },

    /** A releaser hands over a lock that is free. */
    handOver: (actor: Actor, index: number, free: Seen, uncertainty: number): Released => {
      const now = nowOf(uncertainty)
      return released(contenderOf(index, now), release.handOver(releaseOf(actor, index), wire.snapshot(free), now))
    },

    /** The write of a release is answered. */
    released: (actor: Actor, index: number, answer: WriteAnswer, uncertainty: number): Released => {
      const now = nowOf(uncertainty)
      const contender = contenderOf(index, now)
      const heard = heardBy(contender, answerOf(answer, actor.seen), actor.stage === "Leaving" ? "leave" : "release")
      return released(contender, release.step(releaseOf(actor, index), stateOf(actor), heard, now))
    },

    /** A releaser reads what is left of its own. */
    looked: (actor: Actor, index: number, seen: Seen, uncertainty: number): Released => {
      const snapshot = wire.snapshot(seen)
      return looks(snapshot, codeOf(actor, index, uncertainty), () => {
        const now = nowOf(uncertainty)
        const contender = contenderOf(index, now)
        const heard = heardBy(contender, { _tag: "Found", snapshot }, "read")
        return released(contender, release.step(releaseOf(actor, index), stateOf(actor), heard, now))
      })
    },

    /** A holder commits. */
    commit: (actor: Actor, index: number, uncertainty: number): Committed => {
      const now = nowOf(uncertainty)
      const seen = wire.snapshotOfQueue(actor.known!)
      return committed(contenderOf(index, now), commit.begin(commitOf(index), leaseOf(actor, index), seen, now))
    },

    /** It commits again. */
    commitAgain: (actor: Actor, index: number, uncertainty: number): Committed => {
      const now = nowOf(uncertainty)
      const state = commitStateOf(actor, index, "Write")
      return committed(contenderOf(index, now), commit.step(commitOf(index), state, { _tag: "Elapsed" }, now))
    },

    /** The commit is answered. */
    committed: (actor: Actor, index: number, answer: WriteAnswer): Committed => {
      const now = nowOf(0)
      const state = commitStateOf(actor, index, "Write")
      const heard = heardBy(contenderOf(index, now), answerOf(answer, actor.seen), "release")
      return committed(contenderOf(index, now), commit.step(commitOf(index), state, heard, now))
    },

    /** It reads the object after a refused commit. `last` is the contender whose commit was applied last. */
    commitVerified: (actor: Actor, index: number, seen: Seen | "lost", last: number): Committed => {
      const now = nowOf(0)
      const state = commitStateOf(actor, index, "Read")
      return committed(
        contenderOf(index, now),
        commit.step(
          commitOf(index),
          state,
          seen === "lost" ? answerOf(seen, undefined) : readBack(actor, index, seen, last),
          now
        )
      )
    }
  }
}

// The object after a refused commit. It has not changed if lease and queue are as the commit expected them.
const readBack = ({ known, lease }: Actor, index: number, seen: Seen, last: number): Answer => {
  const isUnchanged = seen.by === index && seen.lock === lease && wire.sameQueue(seen.queue, known!)
  return {
    _tag: "Found",
    snapshot: {
      ...wire.snapshot(seen),
      resourceVersion: isUnchanged ? wire.version : `${wire.version}0`,
      content: last === wire.nobody ? {} : { [contentField]: wire.holderId(last) }
    }
  }
}

const clockAt = (tick: number) => ({ monotonic: tick * 1000, wall: tick * 1000 })

const ticksLeft = (validFor: number, { monotonic }: Now["clock"]): number =>
  Math.max(0, Math.floor((validFor + monotonic) / 1000))

const interval = 1000

const contentField = "committed"

const unavailable = new LockError.Unavailable({ object: "object", verb: "patch", detail: "no answer" })

const decisiveEvents = ["Found", "Changed", "Written"]

const writesIn = { Releasing: "Releases", HandingOver: "HandsOver", Leaving: "Leaves", Reading: "Leaves" } as const

// Remembers what was made of a snapshot under a code.
const memo = <A>() => {
  const known = new WeakMap<ObjectSnapshot, Map<number, A>>()
  return (snapshot: ObjectSnapshot, code: number, make: () => A): A => {
    let of = known.get(snapshot)
    if (of === undefined) known.set(snapshot, (of = new Map()))
    const found = of.get(code)
    if (found !== undefined) return found
    const made = make()
    of.set(code, made)
    return made
  }
}

/** Whether a contender takes its lock to be valid. */
export const isValid = ({ kind, left, stage }: Actor, { mutation }: Library): boolean =>
  kind === "kubelock" &&
  holds(stage) &&
  (stage !== "Committing" || mutation.isValidWhileCommitting === true) &&
  left > 0
