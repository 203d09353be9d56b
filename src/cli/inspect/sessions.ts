/** What the Leases of sessions say of the locks under them. Pure. */
import * as leaseSpec from "../../internal/election/leaseSpec.ts"
import * as sessionLease from "../../internal/session/sessionLease.ts"
import * as rfc3339 from "../../internal/time/rfc3339.ts"
import * as LockRecord from "../../LockRecord.ts"
import type { ObjectSnapshot, ServerTime } from "../../ObjectStore.ts"

/** What is known of the Lease of a session: how it is, that it is gone, or nothing. */
export type Lease = ObjectSnapshot | "Gone" | "Unknown"

/** Finds the Lease of a session. */
export type Sessions = (session: sessionLease.SessionReference) => Lease

/** The Lease of a session by what was found under its name. */
export const leaseAmong = ([found]: ReadonlyArray<{ readonly snapshot: ObjectSnapshot }>): Lease =>
  found?.snapshot ?? "Gone"

/**
 * A session as its Lease has it.
 *
 * - `name`: the name of the Lease.
 * - `isOver`: whether the locks under it can be had. It is `false` if the Lease is not known.
 * - `expires`: when the session expires unless it is renewed, if that is known. One that has ended has no such time.
 */
export interface Seen {
  readonly name: string
  readonly isOver: boolean
  readonly expires?: string
}

/** Whether a session is known to live. */
export const lives = (session: sessionLease.SessionReference, lease: Lease, now: ServerTime): boolean =>
  typeof lease !== "string" && sessionLease.standing(session, lease, now)._tag === "Lives"

/** The session that a record names. */
export const referenceIn = (record: LockRecord.LockRecord): sessionLease.SessionReference | undefined =>
  sessionLease.parse(LockRecord.leaseOf(record)?.session ?? "")

/** The session that a record names, as it is at a time. */
export const seenAt = (record: LockRecord.LockRecord, sessions: Sessions, now: ServerTime): Seen | undefined => {
  const session = referenceIn(record)
  if (session === undefined) return undefined
  const lease = sessions(session)
  if (lease === "Unknown") return { name: session.name, isOver: false }
  const found = lease === "Gone" ? undefined : lease
  const ends =
    found !== undefined && sessionLease.isOf(session, found)
      ? leaseSpec.endOf(leaseSpec.fromContent(found.content))
      : undefined
  return {
    name: session.name,
    isOver: sessionLease.standing(session, found, now)._tag !== "Lives",
    ...(ends === undefined ? {} : { expires: rfc3339.format(ends) })
  }
}
