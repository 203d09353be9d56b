/**
 * What a holder knows of its lease: how long it is valid, what to write to renew it, and what an answer means. Pure.
 *
 * The renewer and the held lease perform it (`engine/renewer.ts`, `engine/heldLease.ts`); the exhaustive exploration drives the
 * same functions.
 */
import * as Duration from "effect/Duration"
import type * as LockError from "../../LockError.ts"
import type { LockKind } from "../../LockKind.ts"
import type { Lease } from "../../LockRecord.ts"
import * as LockProtocol from "../../LockProtocol.ts"
import * as LockQueue from "../../LockQueue.ts"
import type { AnnotationGuardedPatch, ObjectSnapshot } from "../../ObjectStore.ts"
import { type ClockReading, elapsed, maxDrift } from "../time/clockReading.ts"
import type { Grant } from "./acquisition.ts"
import type { Answer, Now } from "./answer.ts"

/** What does not change while a lock is held. `ttl` and `renewEvery` are in milliseconds; without the latter nothing renews. */
export interface Terms {
  readonly kind: LockKind
  readonly holderId: string
  readonly ttl: number
  readonly renewEvery: number | undefined
}

/**
 * What a holder knows. Replaced at each step, never changed.
 *
 * - `lease`: the lease as last written.
 * - `issuedAt`, `validFor`: from when, and for how long (milliseconds), this process relies on it.
 * - `written`: all expiries that this hold may have written. A lease of this holder with another expiry was handed over later, to
 *   a contender that is long gone.
 * - `snapshot`: the object as last seen, and `uid` its uid when the lock was acquired.
 * - `phase`: `Committing` while a commit is under way, and `Unsettled` if nobody can tell whether it was applied: the server may
 *   have released the lock.
 */
export interface State {
  readonly lease: Lease
  readonly issuedAt: ClockReading
  readonly validFor: number
  readonly written: ReadonlyArray<string>
  readonly snapshot: ObjectSnapshot
  readonly uid: string
  readonly phase: "Held" | "Committing" | "Unsettled" | "Released"
}

/** The state in which a hold begins. */
export const begin = ({ issuedAt, lease, snapshot, validFor }: Grant): State => ({
  lease,
  issuedAt,
  validFor,
  written: [lease.expiry],
  snapshot,
  uid: snapshot.uid,
  phase: "Held"
})

/** How long the lease is still valid, in milliseconds: a little less than what was written, since clocks drift. */
export const remaining = ({ issuedAt, validFor }: State, now: ClockReading): number =>
  validFor * (1 - maxDrift) - elapsed(issuedAt, now).max

/** Whether others stood in the queue when the object was last seen. */
export const isAwaited = ({ snapshot }: State, { kind }: Terms): boolean =>
  LockQueue.fromAnnotations(kind.key, snapshot.annotations).waiters.length > 0

/** When to renew a new hold for the first time, in milliseconds: a lease that was handed over is shorter than the TTL. */
export const firstRenewal = ({ validFor }: State, { renewEvery }: Terms): number | undefined =>
  renewEvery === undefined ? undefined : Math.min(renewEvery, validFor / 3)

/** A renewal: the lease that it writes, when it was issued, and the write. */
export interface Renewal {
  readonly lease: Lease
  readonly issuedAt: ClockReading
  readonly write: AnnotationGuardedPatch
}

/** Plans a renewal, on condition that the lease stands as last written. */
export const planRenewal = (state: State, { holderId, kind, ttl }: Terms, now: Now): readonly [State, Renewal] => {
  const lease = LockProtocol.nextLease(now.server, { holderId, ttl }, state.lease.expiry)
  return [
    { ...state, written: [...state.written, lease.expiry] },
    {
      lease,
      issuedAt: now.clock,
      write: { expect: { annotations: kind.encode(state.lease) }, annotations: kind.encode(lease) }
    }
  ]
}

/**
 * What follows on an answer.
 *
 * - `Renewed`: the lease stands anew. Renew again in `next` milliseconds.
 * - `Retry`: renew again in `next` milliseconds. `warning` is worth a line of log.
 * - `Read`: the precondition did not hold. A reading tells why.
 * - `Lost`: the lock is lost.
 */
export type Next =
  | { readonly _tag: "Renewed"; readonly next: number }
  | { readonly _tag: "Retry"; readonly next: number; readonly warning: LockError.StoreError | undefined }
  | { readonly _tag: "Read" }
  | {
      readonly _tag: "Lost"
      readonly reason: LockError.Lost["reason"]
      readonly seen: Partial<LockProtocol.HolderInfo>
    }

/** How often a renewal that failed is tried again: so many times in an interval. Our choice. */
export const retriesPerInterval = 5

/** Takes the answer to a renewal, or to the reading that followed it. `interval` is that of renewals, in milliseconds. */
export const onAnswer = (
  state: State,
  terms: Terms,
  renewal: Renewal,
  answer: Answer,
  interval: number
): readonly [State, Next] => {
  const soon = interval / retriesPerInterval
  switch (answer._tag) {
    case "Written":
      return [
        {
          ...state,
          lease: renewal.lease,
          issuedAt: renewal.issuedAt,
          validFor: terms.ttl,
          written: [renewal.lease.expiry],
          snapshot: answer.snapshot
        },
        { _tag: "Renewed", next: interval }
      ]
    case "Refused":
      return [state, { _tag: "Read" }]
    case "Found":
      return onFound(state, terms, answer.snapshot, soon)
    case "Missing":
      return answer.error.missing === "object"
        ? [state, { _tag: "Lost", reason: "Deleted", seen: {} }]
        : [state, { _tag: "Retry", next: soon, warning: answer.error }]
    case "Failed": {
      const { error } = answer
      if (error._tag !== "LockUnavailable") return [state, { _tag: "Retry", next: soon, warning: error }]
      // An overloaded server may ask for any time. A lease that runs out meanwhile helps nobody.
      const asked = error.retryAfter === undefined ? 0 : Duration.toMillis(error.retryAfter)
      return [state, { _tag: "Retry", next: Math.min(Math.max(asked, soon), interval), warning: undefined }]
    }
  }
}

// Did an earlier renewal whose answer was lost change the lease, or somebody else?
const onFound = (
  state: State,
  { holderId, kind }: Terms,
  snapshot: ObjectSnapshot,
  soon: number
): readonly [State, Next] => {
  const check = LockProtocol.verifyLease(kind.decode(snapshot.annotations), holderId)
  switch (check._tag) {
    case "Ours":
      return state.written.includes(check.expiry)
        ? [
            { ...state, lease: { holderId, expiry: check.expiry }, snapshot },
            { _tag: "Retry", next: soon, warning: undefined }
          ]
        : [state, { _tag: "Lost", reason: "TakenOver", seen: { expiry: check.expiry, holder: holderId } }]
    case "Removed":
      return [state, { _tag: "Lost", reason: snapshot.uid === state.uid ? "Removed" : "Deleted", seen: {} }]
    case "TakenOver": {
      const { _tag: reason, ...seen } = check
      return [state, { _tag: "Lost", reason, seen }]
    }
  }
}
