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
import { expiryAfter } from "../../LockRecord.ts"
import type { AnnotationGuardedPatch, ConditionalPatch, ObjectSnapshot } from "../../ObjectStore.ts"
import { type ClockReading, elapsed, safetyMargin } from "../time/clockReading.ts"
import type { Grant } from "./acquisitionState.ts"
import type { Answer, Now } from "./answer.ts"
import * as rules from "./rules.ts"

/**
 * What does not change while a lock is held. Times are in milliseconds. Without `renewEvery` nothing renews. The holder relies on a
 * lease for no longer than `renewDeadline`. A lease under one of the `sessions` has times of its own.
 */
export interface Terms {
  readonly kind: LockKind
  readonly holderId: string
  readonly ttl: number
  readonly renewEvery: number | undefined
  readonly renewDeadline: number
  readonly sessions?: LockProtocol.KnownSessions | undefined
}

/**
 * What a holder knows. Replaced at each step, never changed.
 *
 * - `lease`: the lease as last written.
 * - `issuedAt`, `validFor`: from when, and for how long (milliseconds), this process relies on it.
 * - `written`: the expiries that this hold may have written besides that of `lease`. A lease of this holder with yet another expiry is
 *   not its own: it was handed over later, to a contender that is long gone, or somebody has edited it.
 * - `snapshot`: the object as last seen, and `uid` its uid when the lock was acquired.
 * - `phase`: `Committing` while a commit is under way, `Giving` while the lock is being given away, `Released` after either and after the
 *   release.
 * - `inDoubt`: how many commits got no answer, so that the server may have released the lock, or may release it yet. Only a renewal that
 *   was planned after them, and written, settles that: its lease is another than they expect, so that they cannot be applied any more.
 * - `session`: the session without which the lock is not held: from the moment on at which a lease under it was sent, since that may have
 *   been written.
 * - `loss`: why the lock is lost. It is reported once no commit is under way, since a commit that is applied looks like a loss.
 */
export interface State {
  readonly lease: Lease
  readonly issuedAt: ClockReading
  readonly validFor: number
  readonly written: ReadonlyArray<string>
  readonly snapshot: ObjectSnapshot
  readonly uid: string
  readonly phase: "Held" | "Committing" | "Giving" | "Released"
  readonly inDoubt: number
  readonly session: string | undefined
  readonly loss: Loss | undefined
}

/**
 * Why a lock is lost, and the holder that was seen instead. `withSession`: its session is lost, and all that was held under it. `mayRemain`:
 * its lease may still be on the object.
 */
export interface Loss {
  readonly reason: LockError.Lost["reason"]
  readonly seen: Partial<LockProtocol.HolderInfo>
  readonly withSession?: true
  readonly mayRemain?: true
}

/** What shows that a lock is not the holder's any more. */
export type NotOurs = Exclude<LockProtocol.LeaseCheck, { readonly _tag: "Ours" }> | { readonly _tag: "Deleted" }

/** The loss of such a lock. */
export const lossOf = ({ _tag: reason, ...seen }: NotOurs): Loss => ({ reason, seen })

/** The state in which a hold begins. */
export const begin = ({ issuedAt, lease, snapshot, validFor }: Grant, terms: Pick<Terms, "renewDeadline">): State => ({
  lease,
  issuedAt,
  validFor: relyOn(lease, validFor, terms),
  written: nothingElse,
  snapshot,
  uid: snapshot.uid,
  phase: "Held",
  inDoubt: 0,
  session: lease.session,
  loss: undefined
})

const nothingElse: ReadonlyArray<string> = []

// The deadline of a lease under a session is that of the session.
const relyOn = ({ session }: Lease, validFor: number, { renewDeadline }: Pick<Terms, "renewDeadline">): number =>
  session === undefined ? Math.min(validFor, renewDeadline) : validFor

/** How long the lease is still valid, in milliseconds: a little less than what was written. */
export const remaining = ({ issuedAt, validFor }: State, now: ClockReading): number =>
  validFor * (1 - safetyMargin) - elapsed(issuedAt, now).max

/** Whether the lease is valid, as far as this process knows. */
export const isValid = (state: State, now: ClockReading): boolean =>
  state.phase === "Held" && state.inDoubt === 0 && state.loss === undefined && remaining(state, now) > 0

/** Whether others were in the queue when the object was last seen. */
export const isAwaited = ({ snapshot }: State, { holderId, kind }: Pick<Terms, "holderId" | "kind">): boolean =>
  rules.isAwaited(kind, snapshot, holderId)

/** How many permits the lease has, and how many of them it holds, as the object was last seen: none if it is not there. */
export const permitsOf = (
  { lease, snapshot }: State,
  { holderId, kind }: Pick<Terms, "holderId" | "kind">
): { readonly asked: number; readonly granted: number } => {
  const asked = lease.permits ?? 1
  const found = kind.decode(snapshot.annotations).leases.find((found) => found.holderId === holderId)
  return { asked, granted: Math.min(asked, found?.granted ?? 0) }
}

/** The write that takes so many permits at the place of the lease, if nobody else is in the line. */
export const planRaise = (
  { lease, snapshot }: State,
  { holderId, kind }: Pick<Terms, "holderId" | "kind">,
  permits: number
): ConditionalPatch | undefined => {
  const { leases } = kind.decode(snapshot.annotations)
  return leases.length === 1 && leases[0]!.holderId === holderId
    ? { expect: { resourceVersion: snapshot.resourceVersion }, annotations: kind.encode({ ...lease, permits }) }
    : undefined
}

/**
 * When to renew a lease, in milliseconds. Of a new hold for the first time: a lease that was handed over is shorter than the TTL. Under a
 * session at any time: once half of its lease has passed, and at once if a commit is in doubt.
 */
export const nextRenewal = (
  { inDoubt, issuedAt, lease, validFor }: State,
  { renewEvery }: Terms,
  now: ClockReading
): number | undefined => {
  if (renewEvery === undefined) return undefined
  if (inDoubt > 0) return 0
  const interval =
    lease.session === undefined ? Math.min(renewEvery, validFor / 3) : validFor - LockProtocol.sessionLeaseTtl / 2
  return timeLeft(interval, issuedAt, now)
}

// Intervals count from when a write was sent, as its lease does: a slow answer costs no time twice.
const timeLeft = (interval: number, sentAt: ClockReading, now: ClockReading): number =>
  Math.max(0, interval - elapsed(sentAt, now).max)

/**
 * A renewal: the lease that it writes, from when and for how long (milliseconds) to rely on it, the write, and how many commits in doubt it
 * settles.
 */
export interface Renewal {
  readonly lease: Lease
  readonly issuedAt: ClockReading
  readonly validFor: number
  readonly write: AnnotationGuardedPatch
  readonly settles: number
}

/** Plans a renewal, on condition that the lease on the object is the one last written. */
export const planRenewal = (state: State, terms: Terms, now: Now): readonly [State, Renewal] => {
  const { holderId, kind } = terms
  const { expiry } = state.lease
  const session = state.session ?? terms.sessions?.current()
  const under = session === undefined ? {} : { session }
  const ttl = LockProtocol.ttlOf({ ...state.lease, ...under }, terms.ttl)
  const next = LockProtocol.nextLease(now.server, { holderId, ttl }, state.inDoubt > 0 ? expiryAfter(expiry) : expiry)
  const lease = { ...state.lease, ...next, ...under }
  return [
    { ...state, session, written: [...state.written, lease.expiry] },
    {
      lease,
      issuedAt: now.clock,
      validFor: relyOn(lease, LockProtocol.validFor(now.server, ttl), terms),
      write: { expect: { annotations: kind.encode(state.lease) }, annotations: kind.encode(lease) },
      settles: state.inDoubt
    }
  ]
}

/** Plans the last renewal of a lock that is given away. It is under no session, since the next holder does not have this one. */
export const planGiving = (
  state: State,
  { holderId, kind, ttl }: Pick<Terms, "holderId" | "kind" | "ttl">,
  now: Now
): readonly [State, Renewal] => {
  const existing = state.lease.session === undefined ? state.lease.expiry : undefined
  const lease = LockProtocol.nextLease(now.server, { holderId, ttl }, existing)
  return [
    { ...state, session: undefined, written: [...state.written, lease.expiry] },
    {
      lease,
      issuedAt: now.clock,
      validFor: LockProtocol.validFor(now.server, ttl),
      write: { expect: { annotations: kind.encode(state.lease) }, annotations: kind.encode(lease) },
      settles: 0
    }
  ]
}

/**
 * What follows on an answer.
 *
 * - `Renewed`: the lease is renewed. Renew again in `next` milliseconds.
 * - `Retry`: renew again in `next` milliseconds. `warning` is worth a line of log.
 * - `Read`: the precondition did not hold. A read shows why.
 * - `Lost`: the lock is lost.
 */
export type Next =
  | { readonly _tag: "Renewed"; readonly next: number }
  | { readonly _tag: "Retry"; readonly next: number; readonly warning: LockError.StoreError | undefined }
  | { readonly _tag: "Read" }
  | { readonly _tag: "Lost"; readonly loss: Loss }

/** How often a renewal that failed is tried again: so many times in an interval, counted from when it was sent. Our choice. */
export const retriesPerInterval = 5

/**
 * The pause before a renewal that failed is tried again is at most this part of what is left of the lease, and at least so many
 * milliseconds. A lease that was handed over is short, whatever the TTL. Our choice.
 */
export const retryPause = { partOfLease: 1 / 3, atLeast: 50 }

/** Takes the answer to a renewal, or to the reading that followed it. `interval` is that of renewals, in milliseconds. */
export const onAnswer = (
  state: State,
  terms: Terms,
  renewal: Renewal,
  answer: Answer,
  interval: number,
  now: Now
): readonly [State, Next] => {
  const retry = (state: State, warning?: LockError.StoreError, asked = 0): readonly [State, Next] => {
    const own = timeLeft(interval / retriesPerInterval, renewal.issuedAt, now.clock)
    const pause = Math.min(Math.max(asked, own), interval)
    const bound = remaining(state, now.clock) * retryPause.partOfLease
    return [state, { _tag: "Retry", next: Math.max(retryPause.atLeast, Math.min(pause, bound)), warning }]
  }
  switch (answer._tag) {
    case "Written":
      if (!LockProtocol.isStored(terms.kind.decode(answer.snapshot.annotations), renewal.lease)) {
        return onFound(state, terms, answer.snapshot, now, retry)
      }
      return [
        {
          ...state,
          lease: renewal.lease,
          issuedAt: renewal.issuedAt,
          validFor: renewal.validFor,
          written: nothingElse,
          snapshot: answer.snapshot,
          inDoubt: state.inDoubt - renewal.settles
        },
        {
          _tag: "Renewed",
          next: timeLeft(
            renewal.lease.session === undefined ? interval : LockProtocol.sessionLeaseTtl / 2,
            renewal.issuedAt,
            now.clock
          )
        }
      ]
    case "Refused":
      return [state, { _tag: "Read" }]
    case "Found":
      return onFound(state, terms, answer.snapshot, now, retry)
    case "Missing":
      return answer.error.missing === "object" ? missing(state) : retry(state, answer.error)
    case "Failed": {
      const { error } = answer
      if (error._tag !== "LockUnavailable") return retry(state, error)
      // An overloaded server may ask for any time. A lease that runs out meanwhile is of no use.
      return retry(state, undefined, error.retryAfter === undefined ? 0 : Duration.toMillis(error.retryAfter))
    }
  }
}

/** Takes the object as it was found for another reason than a renewal: because it may be gone, or by a write that changed the permits. */
export const onReading = (state: State, terms: Terms, answer: Answer, now: Now): readonly [State, Next] => {
  const goOn = (state: State): readonly [State, Next] => [state, { _tag: "Retry", next: 0, warning: undefined }]
  switch (answer._tag) {
    case "Found":
      return onFound(state, terms, answer.snapshot, now, goOn)
    case "Missing":
      return answer.error.missing === "object" ? missing(state) : goOn(state)
    default:
      return goOn(state)
  }
}

const lost = (state: State, reason: LockError.Lost["reason"]): readonly [State, Next] => [
  state,
  { _tag: "Lost", loss: { reason, seen: {} } }
]

// One answer alone may be wrong.
const missing = (state: State): readonly [State, Next] => [
  state,
  { _tag: "Lost", loss: { reason: "Deleted", seen: {}, mayRemain: true } }
]

// The lease that it had before may have been written, too.
const withLease = (state: State, lease: Lease): State => ({
  ...state,
  lease,
  written: lease.expiry === state.lease.expiry ? state.written : [...state.written, state.lease.expiry]
})

// A lease with permits stays its holder's for as long as it is at its place: a write of the acquisition may have arrived late. A lease at
// another place was added by a late join after somebody had removed it.
const isOwn = (
  { lease, written }: State,
  found: Extract<LockProtocol.LeaseCheck, { readonly _tag: "Ours" }>
): boolean =>
  lease.place === undefined
    ? found.expiry === lease.expiry || written.includes(found.expiry)
    : found.lease.place === lease.place

// Did an earlier renewal whose answer was lost change the lease, or another process? A lease of ours that was found is valid until its
// expiry, by the latest that the server's clock can be.
const onFound = (
  state: State,
  terms: Terms,
  snapshot: ObjectSnapshot,
  now: Now,
  retry: (state: State) => readonly [State, Next]
): readonly [State, Next] => {
  const { holderId, kind } = terms
  const check = LockProtocol.verifyLease(kind.decode(snapshot.annotations), holderId)
  switch (check._tag) {
    case "Ours": {
      if (!isOwn(state, check)) {
        return [
          state,
          {
            _tag: "Lost",
            loss: { reason: "TakenOver", seen: { expiry: check.expiry, holder: holderId }, mayRemain: true }
          }
        ]
      }
      const validFor = relyOn(check.lease, check.expiresAt - now.server.latest, terms)
      const found = { ...withLease(state, check.lease), snapshot }
      return retry(validFor > remaining(state, now.clock) ? { ...found, issuedAt: now.clock, validFor } : found)
    }
    case "Removed":
      return lost(state, snapshot.uid === state.uid ? "Removed" : "Deleted")
    case "TakenOver":
      return [state, { _tag: "Lost", loss: lossOf(check) }]
  }
}
