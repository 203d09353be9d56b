/**
 * Giving up: a lock that is held, a free lock that others wait for, or an acquisition that may hold the lock or be in the
 * queue without knowing. A pure machine: state, event and time in; state and one command out.
 *
 * The engine performs the commands (`engine/release.ts`), and the exhaustive exploration drives the same `step`.
 */
import type * as LockError from "../../LockError.ts"
import { isFree, type Lease } from "../../LockRecord.ts"
import * as LockProtocol from "../../LockProtocol.ts"
import type { ConditionalPatch, ObjectSnapshot } from "../../ObjectStore.ts"
import * as PermitProtocol from "../../PermitProtocol.ts"
import { holds } from "../precondition.ts"
import { type Answer, isOfStart, isRuledOut, type Now } from "./answer.ts"
import * as rules from "./rules.ts"

/**
 * A release. `handsOver` says whether a lock that turns out to be free and awaited is handed over at once. If not, the outcome
 * says so, and the caller hands it over (`handOver`).
 *
 * `cutOff` is what the acquisition sent and got no answer to. It may still arrive, so the release makes certain what becomes of it: it
 * sends the acquiring write again, or another one with the same precondition, since the server applies only one of them. A join or a
 * creation has no precondition that ends with it. The release looks for it several times.
 */
export interface Release extends rules.ReleaseRequest {
  readonly handsOver: boolean
  readonly cutOff?: CutOff | undefined
}

/**
 * What an acquisition sent and got no answer to: the acquiring write with its precondition, a join, a creation. `isRepeated`: the
 * acquisition joined more than once, so that the place in the queue may be that of another join. `settledBy` is the write with the same
 * precondition that makes certain what becomes of the acquiring one; by default that one itself, sent again.
 */
export interface CutOff {
  readonly write?: ConditionalPatch | undefined
  readonly settledBy?: ConditionalPatch | undefined
  readonly join?: { readonly isRepeated: boolean } | undefined
  readonly creation?: boolean
}

/**
 * What the release is doing: releasing a lease by this plan, handing over a free lock by this plan, reading what is left of its
 * own, leaving the queue, or settling whether a write that was cut off is applied.
 *
 * `FollowingUp`: after a release of permits, writing what its answer calls for (`PermitProtocol.readAnswer`); `otherwise` if that is
 * refused.
 *
 * `plain` is the release without a hand-over, in case a rule of the cluster refuses what a hand-over adds to the object.
 */
export type State =
  | {
      readonly _tag: "Releasing"
      readonly plan: rules.ReleasePlan
      readonly plain: rules.Planned | undefined
    }
  | { readonly _tag: "HandingOver"; readonly plan: rules.ReleasePlan }
  | { readonly _tag: "FollowingUp"; readonly outcome: Outcome; readonly otherwise: ConditionalPatch | undefined }
  | { readonly _tag: "Reading" | "Leaving" | "Settling" }

/** What happened: the answer to a request, or that the time to read has come. */
export type Event = Answer | { readonly _tag: "Elapsed" }

/**
 * How it ended. `requeued` is the object in which the waiter of the same process got its place in the queue.
 *
 * - `Freed`: the lock is free in this snapshot, and there are no waiters.
 * - `Awaited`: the lock is free in this snapshot, and others joined the queue without the releaser's knowing. `chainStartedAt` is
 *   that of the queue before the release.
 * - `Passed`: another contender has the lock, or was notified that it is free. `isLeftFree`: it is left free for Dex.
 *
 * Of a release of permits, `passed` is how many waiters others let in, between the object as last seen and the release
 * (`PermitProtocol.Leaving`), and `seen` is the object as its answer showed it.
 */
export type Outcome = {
  readonly requeued: ObjectSnapshot | undefined
  readonly passed?: number | undefined
  readonly seen?: ObjectSnapshot
} & (
  | { readonly _tag: "Freed"; readonly snapshot: ObjectSnapshot }
  | { readonly _tag: "Awaited"; readonly snapshot: ObjectSnapshot; readonly chainStartedAt: number | undefined }
  | { readonly _tag: "Passed"; readonly isLeftFree: boolean }
)

/**
 * What to do next. `ReadLater`: wait for a moment, then read; `problem` says why. `LookLater`: the same for a write that was cut off;
 * if there is no time left, the outcome is this. `requeues` says that the write may put the waiter of the same process into the
 * queue.
 */
export type Command =
  | { readonly _tag: "Read" }
  | { readonly _tag: "ReadLater"; readonly problem: string }
  | { readonly _tag: "Write"; readonly write: ConditionalPatch; readonly requeues: boolean }
  | { readonly _tag: "LookLater" | "Done"; readonly outcome: Outcome }
  | { readonly _tag: "Fail"; readonly problem: string }

/** A state and what to do in it. */
export type Step = readonly [State, Command]

/** Begins the release of a lease, from the object as last seen: one write if nothing goes wrong. */
export const release = (self: Release, lease: Lease, seen: ObjectSnapshot, now: Now): Step => {
  const planned = rules.planRelease(seen, lease, now.server, self)
  const { plan } = planned
  const plain = plan.wakes || plan.left !== undefined ? rules.planPlainRelease(lease, self, plan) : undefined
  return releaseBy(planned, plain)
}

const releaseBy = ({ plan, write }: rules.Planned, plain: rules.Planned | undefined): Step => [
  { _tag: "Releasing", plan, plain },
  { _tag: "Write", write, requeues: plan.requeued }
]

/** Begins with a lock that is free in this snapshot, and that others wait for. */
export const handOver = (self: Release, free: ObjectSnapshot, now: Now): Step => {
  const plan = LockProtocol.planHandOver(free, now.server, self)
  const write = { expect: { resourceVersion: free.resourceVersion }, ...plan.patch }
  return [
    { _tag: "HandingOver", plan },
    { _tag: "Write", write, requeues: plan.requeued }
  ]
}

/** Begins with a reading: what is this holder's own is not known. */
export const beginWithReading: Step = [{ _tag: "Reading" }, { _tag: "Read" }]

/** What follows on an event. */
export const step = (self: Release, state: State, event: Event, now: Now): Step => {
  switch (event._tag) {
    case "Found":
      return leave(self, event.snapshot, now)
    case "Written":
      return onWritten(self, state, event.snapshot, now)
    case "Refused":
      return onRefused(self, state)
    case "Missing":
      return event.error.missing === "object"
        ? [state, { _tag: self.cutOff?.creation === true ? "LookLater" : "Done", outcome: passed }]
        : later(event.error.message)
    case "Failed":
      return onFailed(self, state, event.error)
    case "Elapsed":
      return beginWithReading
  }
}

const onRefused = (self: Release, state: State): Step => {
  // Others have come, or gone.
  if (state._tag === "FollowingUp") {
    const { otherwise, outcome } = state
    return otherwise === undefined ? end(self, state, outcome) : followUp(otherwise, undefined, outcome)
  }
  const planned = state._tag === "Releasing" ? rules.planOtherwise(state.plan) : undefined
  return planned === undefined || state._tag !== "Releasing"
    ? later("The object kept changing.")
    : releaseBy(planned, state.plain)
}

// A token that was just rotated is refused for a moment.
const onFailed = (self: Release, state: State, error: LockError.StoreError): Step => {
  // A rule of the cluster may refuse the turns, as an object does that is full, and admit the label that wakes a waiter.
  if (state._tag === "FollowingUp") return isRuledOut(error) ? onRefused(self, state) : end(self, state, state.outcome)
  if (error._tag === "LockUnavailable" || error._tag === "LockUnauthorized" || isOfStart(error)) {
    return later(error.message)
  }
  if (state._tag !== "Releasing" || state.plain === undefined) return [state, { _tag: "Fail", problem: error.message }]
  return releaseBy(state.plain, undefined)
}

const passed: Outcome = { _tag: "Passed", isLeftFree: false, requeued: undefined }

const later = (problem: string): Step => [{ _tag: "Reading" }, { _tag: "ReadLater", problem }]

const onWritten = (self: Release, state: State, snapshot: ObjectSnapshot, now: Now): Step => {
  switch (state._tag) {
    case "Releasing":
      if (!rules.isReleased(self, state.plan, snapshot))
        return later("The API server accepted the release and did not store it.")
      return settle(self, state, state.plan, snapshot, now)
    case "HandingOver":
      return state.plan.wakes
        ? end(self, state, passedBy(self, state.plan, snapshot))
        : settle(self, state, state.plan, snapshot, now)
    case "Settling":
      return releaseIfOurs({ ...self, cutOff: { ...self.cutOff, write: undefined } }, snapshot, now)
    case "FollowingUp": {
      const { outcome } = state
      return end(self, state, outcome._tag === "Freed" ? { ...outcome, snapshot } : outcome)
    }
    case "Leaving":
    case "Reading":
      return releaseIfOurs(self.cutOff?.join?.isRepeated === false ? withoutJoin(self) : self, snapshot, now)
  }
}

const withoutJoin = (self: Release): Release => ({ ...self, cutOff: { ...self.cutOff, join: undefined } })

const leave = (self: Release, snapshot: ObjectSnapshot, now: Now): Step => {
  const write = rules.leavePatch(self.kind, snapshot, self.holderId)
  return write === undefined
    ? releaseIfOurs(self, snapshot, now)
    : [{ _tag: "Leaving" }, { _tag: "Write", write, requeues: false }]
}

// The lease on the object may be ours with another expiry, from a renewal whose answer was lost. If it is not ours, the acquiring write
// may still arrive as long as its precondition holds.
const releaseIfOurs = (self: Release, snapshot: ObjectSnapshot, now: Now): Step => {
  const check = LockProtocol.verifyLease(self.kind.decode(snapshot.annotations), self.holderId)
  if (check._tag === "Ours") return release(self, check.lease, snapshot, now)
  const { settledBy, write } = self.cutOff ?? {}
  return write !== undefined && holds(write.expect, snapshot)
    ? [{ _tag: "Settling" }, { _tag: "Write", write: settledBy ?? write, requeues: false }]
    : settle(self, { _tag: "Reading" }, undefined, snapshot, now)
}

// The plan did not know a waiter that joined meanwhile. The answer shows it.
const settle = (
  self: Release,
  state: State,
  plan: rules.ReleasePlan | undefined,
  snapshot: ObjectSnapshot,
  now: Now
): Step => {
  if (PermitProtocol.hasPermits(self.kind)) return settlePermits(self, self.kind, state, plan, snapshot)
  const outcome = outcomeOf(self, plan, snapshot)
  return outcome._tag === "Awaited" && self.handsOver
    ? handOver({ ...self, chainStartedAt: outcome.chainStartedAt }, snapshot, now)
    : end(self, state, outcome)
}

// A join may still arrive.
const end = ({ cutOff }: Release, state: State, outcome: Outcome): Step => [
  state,
  { _tag: cutOff?.join === undefined ? "Done" : "LookLater", outcome }
]

const settlePermits = (
  self: Release,
  kind: PermitProtocol.PermitKind,
  state: State,
  plan: rules.ReleasePlan | undefined,
  snapshot: ObjectSnapshot
): Step => {
  const answered = plan?.left === undefined ? undefined : PermitProtocol.readAnswer(kind, plan.left, snapshot)
  const requeued = plan?.requeued === true ? snapshot : undefined
  const passed = answered?.passed
  const outcome: Outcome = isFree(kind.decode(snapshot.annotations))
    ? { _tag: "Freed", snapshot, requeued, passed, seen: snapshot }
    : { _tag: "Passed", isLeftFree: false, requeued, passed, seen: snapshot }
  return answered?.write === undefined
    ? end(self, state, outcome)
    : followUp(answered.write, answered.otherwise, outcome)
}

const followUp = (write: ConditionalPatch, otherwise: ConditionalPatch | undefined, outcome: Outcome): Step => [
  { _tag: "FollowingUp", outcome, otherwise },
  { _tag: "Write", write, requeues: false }
]

const passedBy = (
  { kind }: Pick<LockProtocol.ReleaseRequest, "kind">,
  { requeued }: rules.ReleasePlan,
  snapshot: ObjectSnapshot
): Outcome => ({
  _tag: "Passed",
  isLeftFree: isFree(kind.decode(snapshot.annotations)),
  requeued: requeued ? snapshot : undefined
})

/** Reads the outcome of a release from a snapshot. `plan` is that of the write that the snapshot answers, if there is one. */
export const outcomeOf = (
  { kind }: LockProtocol.ReleaseRequest,
  plan: rules.ReleasePlan | undefined,
  snapshot: ObjectSnapshot
): Outcome => {
  if (plan?.wakes === true) return passedBy({ kind }, plan, snapshot)
  if (!isFree(kind.decode(snapshot.annotations))) return passed
  const { waiters } = LockProtocol.queueOf(kind, snapshot.annotations)
  return waiters.length > 0
    ? { _tag: "Awaited", snapshot, chainStartedAt: plan?.chainStartedAt, requeued: undefined }
    : { _tag: "Freed", snapshot, requeued: undefined }
}
