/**
 * What names a session, and what its Lease says. Pure.
 *
 * The Lease is as client-go writes it: `holderIdentity` is the incarnation of the session, and it lives for `leaseDurationSeconds` after
 * `renewTime`, by the clock of the API server. A session that has ended is not the holder of its Lease any more. The next session may
 * have the same Lease, as another incarnation.
 */
import type { ObjectSnapshot, ServerTime } from "../../ObjectStore.ts"
import * as leaseSpec from "../election/leaseSpec.ts"
import * as rfc3339 from "../time/rfc3339.ts"

/**
 * What names a session: its Lease, by namespace, name and uid, and its incarnation there. No two sessions share all of it, also if one of
 * them has the Lease of the other, or a Lease of the same name.
 */
export interface SessionReference {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly incarnation: string
}

/** A reference as text: without spaces at its ends, and without `@`. */
export const format = ({ incarnation, name, namespace, uid }: SessionReference): string =>
  `${namespace}/${name} ${uid} ${incarnation}`

const pattern =
  /^([a-z0-9.-]{1,253})\/([a-z0-9.-]{1,253}) ([A-Za-z0-9-]{1,63}) ([A-Za-z0-9._-]{1,63}\/[a-z0-9.]{1,24})$/

/** Reads a reference; `undefined` if it is none. */
export const parse = (text: string): SessionReference | undefined => {
  const [, namespace, name, uid, incarnation] = pattern.exec(text) ?? []
  return incarnation === undefined ? undefined : { namespace: namespace!, name: name!, uid: uid!, incarnation }
}

/**
 * What a Lease says of a session.
 *
 * - `Lives`: it lives at least until then (milliseconds since 1970, by the clock of the API server), and may be renewed. Without an end
 *   that can be read it is infinite: its owner finds out at its next renewal, and nobody else can know.
 * - `Expired`: it was not renewed in time, and its owner relies on it no longer. But the owner can still renew it.
 * - `Ended`: it can never be renewed again.
 */
export type Standing =
  | { readonly _tag: "Lives"; readonly until: number }
  | { readonly _tag: "Expired" }
  | { readonly _tag: "Ended" }

/**
 * Reads the standing of a session from its Lease, which is `undefined` if it is gone. The session has expired once the earliest that the
 * server's clock can be is past its end: a session that might still live never counts as expired.
 */
export const standing = (
  { incarnation, uid }: SessionReference,
  lease: Pick<ObjectSnapshot, "uid" | "content"> | undefined,
  { earliest }: ServerTime
): Standing => {
  if (lease === undefined || lease.uid !== uid) return { _tag: "Ended" }
  const spec = leaseSpec.fromContent(lease.content)
  if (leaseSpec.holderOf(spec) !== incarnation) return { _tag: "Ended" }
  const end = rfc3339.parse(leaseSpec.ownLease(spec)?.expiry ?? "")
  const until = end === undefined ? Number.POSITIVE_INFINITY : end.seconds * 1000
  return earliest > until ? { _tag: "Expired" } : { _tag: "Lives", until }
}
