/**
 * The record of a lock: the leases on an object. Pure.
 *
 * The functions read and write the record of an exclusive lock, which is Dex's.
 *
 * **Details**
 *
 * - `<key>` holds the expiry in RFC 3339. This annotation alone is the lock: while
 *   it is present and has not expired, the lock is held, no matter which process wrote it.
 * - `<key>-holder` is kubelock's own: `<holder ID>@<expiry>`. It names the holder. It counts only while it repeats the
 *   expiry of the lock: Dex replaces the whole annotation map, so it may vanish at any moment, and a peer that knows only
 *   the first annotation may leave it behind.
 * - Under a session it is `<holder ID> <session>@<expiry>`. The lock is then held until the session has ended, if that comes before
 *   the expiry, which is far ahead. A version that knows no sessions judges the lock by its expiry alone.
 */
import * as rfc3339 from "./internal/time/rfc3339.ts"
import type { MetadataPatch } from "./ObjectStore.ts"

/** One hold of a lock, as it is written. */
export interface Lease {
  /** The holder ID. No two acquisitions share one. */
  readonly holderId: string
  /** When it expires (RFC 3339). */
  readonly expiry: string
  /** The session under which the lock is held, if there is one: its reference as text. */
  readonly session?: string
  /** How many permits it asks for, if the lock has any (`PermitRecord`). */
  readonly permits?: number
  /** Its place in the line of such a lock: a resourceVersion. */
  readonly place?: string
}

/** A lease on an object. */
export interface RecordedLease {
  /** The holder ID. Dex writes none. */
  readonly holderId: string | undefined
  /** That of `Lease`. */
  readonly session?: string
  /** How a holder calls itself that is no kubelock and writes a name (client-go). */
  readonly peer?: string
  /** The expiry as written. */
  readonly expiry: string
  /** The same, in milliseconds since 1970. */
  readonly expiresAt: number
  /** The annotation that the lease is under, if that is not the lock's own (`LockKind.exclusive`). */
  readonly key?: string
  /** That of `Lease`. */
  readonly permits?: number
  /** That of `Lease`. */
  readonly place?: string
  /** How many of its permits it holds (`PermitRecord.Placed`). */
  readonly granted?: number
}

/**
 * What the annotations of an object say about its lock. `Malformed`: the annotation `key` cannot be read. `leases` are those that
 * can be read.
 */
export type LockRecord =
  | { readonly _tag: "Leases"; readonly leases: ReadonlyArray<RecordedLease> }
  | {
      readonly _tag: "Malformed"
      readonly key: string
      readonly value: string
      readonly leases: ReadonlyArray<RecordedLease>
    }

const free: LockRecord = { _tag: "Leases", leases: [] }

/** The first lease of a record, the only one of an exclusive lock; `undefined` if there is none. */
export const leaseOf = (record: LockRecord): RecordedLease | undefined =>
  record._tag === "Leases" ? record.leases[0] : undefined

/** Whether no lease is on the object, not even an expired one. A record that cannot be read is not free. */
export const isFree = (record: LockRecord): boolean => record._tag === "Leases" && record.leases.length === 0

/** The name of the annotation that names the holder. */
export const holderKey = (key: string): string => `${key}-holder`

/** Reads the record. It rounds `expiresAt` up to the millisecond, so that no lock seems to end early. */
export const fromAnnotations = (key: string, annotations: Readonly<Record<string, string>>): LockRecord => {
  const expiry = annotations[key]
  if (expiry === undefined) return free
  const instant = rfc3339.parse(expiry)
  if (instant === undefined) return { _tag: "Malformed", key, value: expiry, leases: [] }
  const named = annotations[holderKey(key)]
  const holder = named?.endsWith(`@${expiry}`) === true ? leaseNamed(named) : { holderId: undefined }
  const expiresAt = instant.seconds * 1000 + Math.ceil(instant.nanos / 1_000_000)
  return { _tag: "Leases", leases: [{ ...holder, expiry, expiresAt }] }
}

/** The lease in the annotation that names its holder. */
export const leaseNamed = (named: string): Lease => {
  const at = named.lastIndexOf("@")
  const holder = named.slice(0, at)
  const expiry = named.slice(at + 1)
  const [, holderId, session] = underSession.exec(holder) ?? []
  return session === undefined ? { holderId: holder, expiry } : { holderId: holderId!, session, expiry }
}

const underSession = /^(\S+) (\S+ \S+ \S+)$/

/** The annotations of a lease. As a precondition they mean that exactly this lease is still on the object. */
export const toAnnotations = (key: string, { expiry, holderId, session }: Lease): Readonly<Record<string, string>> => ({
  [key]: expiry,
  [holderKey(key)]: `${session === undefined ? holderId : `${holderId} ${session}`}@${expiry}`
})

/** The patch that removes the lock, and nothing else. */
export const removal = (key: string): MetadataPatch => ({ [key]: null, [holderKey(key)]: null })

/** The expiry to write for a lock that must last until `millis`: rounded up to the whole second. */
export const expiryAt = (millis: number): string => rfc3339.format(Math.ceil(millis / 1000))

/** The expiry a second after this one, which must be an expiry that `expiryAt` gave. */
export const expiryAfter = (expiry: string): string => rfc3339.format((rfc3339.parse(expiry)?.seconds ?? 0) + 1)
