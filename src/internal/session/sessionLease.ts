/**
 * What names a session, and what its Lease says. Pure.
 *
 * The Lease is as client-go writes it: `holderIdentity` is the incarnation of the session, and it lives for `leaseDurationSeconds` after
 * `renewTime`, by the clock of the API server. A session that has ended is not the holder of its Lease any more. The next session may
 * have the same Lease, as another incarnation.
 */
import type { ConditionalPatch, MetadataPatch, ObjectSnapshot, ServerTime } from "../../ObjectStore.ts"
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

/** What the names of the Leases of sessions begin with. A number follows. */
export const namePrefix = "kubelock-session"

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

/** Whether a Lease is that of a session that has not ended. */
export const isOf = ({ incarnation, uid }: SessionReference, lease: Pick<ObjectSnapshot, "uid" | "content">): boolean =>
  lease.uid === uid && leaseSpec.holderOf(leaseSpec.fromContent(lease.content)) === incarnation

/**
 * Reads the standing of a session from its Lease, which is `undefined` if it is gone. The session has expired once the earliest that the
 * server's clock can be is past its end: a session that might still live never counts as expired.
 */
export const standing = (
  reference: SessionReference,
  lease: Pick<ObjectSnapshot, "uid" | "content"> | undefined,
  { earliest }: ServerTime
): Standing => {
  if (lease === undefined || !isOf(reference, lease)) return { _tag: "Ended" }
  const end = rfc3339.parse(leaseSpec.ownLease(leaseSpec.fromContent(lease.content))?.expiry ?? "")
  const until = end === undefined ? Number.POSITIVE_INFINITY : end.seconds * 1000
  return earliest > until ? { _tag: "Expired" } : { _tag: "Lives", until }
}

/** The annotation that names what is broken of all that a session holds: holder IDs, separated by spaces. */
export const brokenKey = "kubelock.dev/session-broken"

/** How many holds the annotation names at most, which takes less than 100 bytes each. Its owner empties it. Our choice. */
export const maxBroken = 500

/** What others have broken of a session, by its Lease. */
export const brokenOn = ({ annotations }: Pick<ObjectSnapshot, "annotations">): ReadonlyArray<string> =>
  annotations[brokenKey]?.split(" ") ?? []

/** Adds a hold to what is broken; `undefined` if there is no room. */
export const breaking = (lease: Pick<ObjectSnapshot, "annotations">, holderId: string): MetadataPatch | undefined => {
  const broken = brokenOn(lease)
  return broken.length < maxBroken ? { [brokenKey]: [...broken, holderId].join(" ") } : undefined
}

/** The write with which the owner of a session takes what is broken off its Lease, unless that is more by now. */
export const clearing = ({ annotations }: Pick<ObjectSnapshot, "annotations">): ConditionalPatch => ({
  expect: { annotations: { [brokenKey]: annotations[brokenKey]! } },
  annotations: { [brokenKey]: null }
})
