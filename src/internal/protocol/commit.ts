/**
 * Writing to the locked object and releasing the lock, both or nothing. A pure machine: state, event and time in; state and one command out.
 *
 * The write's precondition is that the lock is still ours, and that each field that it makes is still missing. If the object has
 * changed, the write is built anew from what is there. If its answer is lost, a read shows from the content and the annotations
 * whether it was applied.
 */
import * as LockError from "../../LockError.ts"
import type { Lease } from "../../LockRecord.ts"
import * as LockProtocol from "../../LockProtocol.ts"
import type { AnnotationGuardedPatch, FieldPatch, MetadataPatch, ObjectSnapshot } from "../../ObjectStore.ts"
import { type Answer, isOfStart, type Now } from "./answer.ts"
import * as fieldPatches from "./fieldPatches.ts"
import type { NotOurs } from "./holding.ts"
import { outcomeOf, type Outcome } from "./release.ts"

/**
 * A commit. `object` is for messages. Fields on the way to a patched one are made if they are missing. `annotations` are others than
 * those of the lock.
 */
export interface Commit extends LockProtocol.ReleaseRequest {
  readonly object: string
  readonly content: ReadonlyArray<FieldPatch>
  readonly annotations?: MetadataPatch | undefined
}

/**
 * What a commit knows: which request is under way, the lease and the object as last seen, its plan, the error of a write whose
 * answer was lost, the error that ends the commit once a reading has shown whether that write was applied, and whether a write was
 * told that the object is missing.
 */
export interface State {
  readonly request: "Write" | "Read"
  readonly lease: Lease
  readonly snapshot: ObjectSnapshot
  readonly plan: LockProtocol.HandOverPlan
  readonly unanswered: LockError.Unavailable | undefined
  readonly failure: LockError.StoreError | undefined
  readonly isMissing: boolean
}

/** What happened: the answer to a request, or that the time to try again has come. */
export type Event = Answer | { readonly _tag: "Elapsed" }

/**
 * What to do next. `WriteLater`: wait for a moment; if there is no time left, fail with `error`. `Done` without an outcome: it was
 * applied, and nothing more is known. `Lost`: another holder has the lock, or the lock is gone, and nothing was written. A failure `inDoubt`:
 * it may have been applied, or may still be. `check` says that the lock is not ours any more in any case.
 */
export type Command =
  | { readonly _tag: "Write"; readonly write: AnnotationGuardedPatch }
  | { readonly _tag: "Read" }
  | { readonly _tag: "WriteLater"; readonly error: LockError.StoreError }
  | { readonly _tag: "Done"; readonly outcome: Outcome | undefined }
  | { readonly _tag: "Lost"; readonly check: NotOurs }
  | {
      readonly _tag: "Fail"
      readonly error: LockError.StoreError
      readonly inDoubt: boolean
      readonly check: NotOurs | undefined
    }

/** A state and what to do in it. */
export type Step = readonly [State, Command]

/** Begins a commit under a lease, from the object as last seen. `inDoubt`: an earlier commit may have been applied. */
export const begin = (self: Commit, lease: Lease, snapshot: ObjectSnapshot, inDoubt: boolean, now: Now): Step => {
  const detail = "the answer to an earlier commit was lost"
  const unanswered = inDoubt ? new LockError.Unavailable({ object: self.object, verb: "patch", detail }) : undefined
  return write(self, lease, snapshot, unanswered, now)
}

/** What follows on an event. */
export const step = (self: Commit, state: State, event: Event, now: Now): Step => {
  switch (event._tag) {
    case "Written":
      return onWritten(self, state, event.snapshot)
    case "Refused":
      return [{ ...state, request: "Read" }, { _tag: "Read" }]
    case "Found":
      return onFound(self, state, event.snapshot)
    case "Missing":
    case "Failed":
      return onError(self, state, event.error)
    case "Elapsed":
      return write(self, state.lease, state.snapshot, state.unanswered, now)
  }
}

const write = (
  self: Commit,
  lease: Lease,
  snapshot: ObjectSnapshot,
  unanswered: LockError.Unavailable | undefined,
  now: Now
): Step => {
  const { plan, write } = LockProtocol.planRelease(snapshot, lease, now.server, self)
  return [
    { request: "Write", lease, snapshot, plan, unanswered, failure: undefined, isMissing: false },
    { _tag: "Write", write: writeOf(self, write, snapshot) }
  ]
}

// A rule of the cluster may refuse what a hand-over adds to the object. The content must not be lost to that.
const writeWithoutHandOver = (self: Commit, state: State): Step => {
  const { plan, write } = LockProtocol.planPlainRelease(state.lease, self)
  return [
    { ...state, plan },
    { _tag: "Write", write: writeOf(self, write, state.snapshot) }
  ]
}

// A store that brings no content shows only that the lock was released.
const onWritten = (self: Commit, state: State, snapshot: ObjectSnapshot): Step => {
  const check = LockProtocol.verifyLease(self.kind.decode(snapshot.annotations), self.holderId)
  const missing =
    snapshot.content === undefined
      ? undefined
      : self.content.find((field) => !fieldPatches.isApplied(snapshot.content, field))
  if (check._tag !== "Ours" && missing === undefined && holdsAnnotations(self, snapshot)) {
    return [state, { _tag: "Done", outcome: outcomeOf(self, state.plan, snapshot) }]
  }
  const field = missing === undefined || check._tag === "Ours" ? {} : { field: missing.path.join(".") }
  const error = new LockError.Altered({ object: self.object, verb: "patch", ...field })
  return [state, { _tag: "Fail", error, inDoubt: true, check: undefined }]
}

// Credentials are replaced, rights are loaded, and a server that starts does not know all resources yet: the write that took the
// lock was allowed. So only what no repetition can mend ends the commit.
const onError = (self: Commit, state: State, error: LockError.StoreError): Step => {
  const isRule = error._tag === "LockRejected" || (error._tag === "LockForbidden" && !isOfStart(error))
  if (isRule && state.request === "Write" && state.plan.wakes) return writeWithoutHandOver(self, state)
  switch (error._tag) {
    case "LockUnavailable":
    case "LockUnauthorized":
    case "LockForbidden":
    case "LockNotFound": {
      if (state.failure !== undefined) return onFailure(state, error)
      if (error._tag === "LockNotFound" && error.missing === "object") return onMissing(state, error)
      const isUnanswered = error._tag === "LockUnavailable" && state.request === "Write"
      return [
        { ...state, unanswered: isUnanswered ? error : state.unanswered },
        { _tag: "WriteLater", error }
      ]
    }
    default:
      return onFailure(state, error)
  }
}

// If the object is gone, so is the lock. One answer alone may be wrong: both a write and the reading after it must say so.
const onMissing = (state: State, error: LockError.NotFound): Step => {
  if (state.request === "Write") return [{ ...state, request: "Read", isMissing: true }, { _tag: "Read" }]
  if (!state.isMissing) return [state, { _tag: "WriteLater", error }]
  return state.unanswered === undefined ? [state, { _tag: "Lost", check: deleted }] : fail(state, error, deleted)
}

const deleted: NotOurs = { _tag: "Deleted" }

// An error that a retry cannot fix. If the answer to an earlier write was lost, a read shows whether that write was applied.
const onFailure = (state: State, error: LockError.StoreError): Step =>
  state.unanswered !== undefined && state.failure === undefined
    ? [{ ...state, request: "Read", failure: error }, { _tag: "Read" }]
    : fail(state, state.failure ?? error)

const fail = (state: State, error: LockError.StoreError, check?: NotOurs): Step => [
  state,
  { _tag: "Fail", error, inDoubt: state.unanswered !== undefined, check }
]

// The precondition did not hold: an earlier write of ours was applied though its answer was lost, or a renewal, or the lock is
// another's, or the queue has changed.
const onFound = (self: Commit, state: State, found: ObjectSnapshot): Step => {
  const { annotations = {}, content, holderId, kind, object } = self
  const check = LockProtocol.verifyLease(kind.decode(found.annotations), holderId)
  if (check._tag !== "Ours") {
    const leavesTraces = content.length > 0 || Object.keys(annotations).length > 0
    const mayBeApplied = state.unanswered !== undefined && leavesTraces
    const holdsContent = content.every((field) => fieldPatches.isApplied(found.content, field))
    if (mayBeApplied && holdsContent && holdsAnnotations(self, found)) {
      return [state, { _tag: "Done", outcome: undefined }]
    }
    // If an answer was lost, the write may have been applied, and another holder may have overwritten it. That cannot be known.
    return state.unanswered === undefined ? [state, { _tag: "Lost", check }] : fail(state, state.unanswered, check)
  }
  if (state.failure !== undefined) return fail(state, state.failure)
  const isUnchanged = found.resourceVersion === state.snapshot.resourceVersion && !state.isMissing
  if (isUnchanged && (state.snapshot.content !== undefined || found.content === undefined)) {
    const detail = "the lock is ours, and yet the write was refused: is a field missing on the way to what it sets"
    return fail(state, new LockError.Rejected({ object, verb: "patch", status: 422, detail }))
  }
  return [
    { ...state, lease: check.lease, snapshot: found },
    {
      _tag: "WriteLater",
      error: new LockError.Unavailable({ object, verb: "patch", detail: "the object changed" })
    }
  ]
}

const holdsAnnotations = ({ annotations = {} }: Commit, snapshot: ObjectSnapshot): boolean =>
  Object.entries(annotations).every(([name, value]) => (snapshot.annotations[name] ?? null) === value)

const writeOf = (self: Commit, write: AnnotationGuardedPatch, { content }: ObjectSnapshot): AnnotationGuardedPatch =>
  fieldPatches.into({ ...write, annotations: { ...write.annotations, ...self.annotations } }, self.content, content)
