/**
 * The lock as it stands on an object: annotations to record and back.
 *
 * **Details**
 *
 * - `<key>` (Dex's `dexidp.com/resource-lock` by default) holds the expiry, RFC 3339. It alone is the lock: while it is
 *   present and not expired the lock is held, whoever wrote it.
 * - `<key>-holder` is ours: `<holder>@<expiry>`. It names who holds the lock. It may vanish at any moment, since Dex
 *   replaces the whole annotation map, and it may be left behind by a peer that knows only the first annotation: it
 *   counts only while it repeats the lock's expiry.
 */
import * as rfc3339 from "./internal/time/rfc3339.ts"
import type { MetadataPatch } from "./ObjectStore.ts"

/** What the annotations of an object say of its lock. `expiry` is the value as written, `expiresAt` in milliseconds. */
export type LockRecord =
  | { readonly _tag: "Absent" }
  | { readonly _tag: "Malformed"; readonly value: string }
  | {
      readonly _tag: "Present"
      readonly expiry: string
      readonly expiresAt: number
      readonly holder: string | undefined
    }

/** One holding of a lock, as it is written: who, and until when. No two acquisitions share a holder. */
export interface Lease {
  readonly holderId: string
  readonly expiry: string
}

/** The name of the annotation that says who holds the lock of this key. */
export const holderKey = (key: string): string => `${key}-holder`

/** Reads the record. `expiresAt` is rounded up to the millisecond, so that no lock seems to end early. */
export const fromAnnotations = (key: string, annotations: Readonly<Record<string, string>>): LockRecord => {
  const expiry = annotations[key]
  if (expiry === undefined) return { _tag: "Absent" }
  const instant = rfc3339.parse(expiry)
  if (instant === undefined) return { _tag: "Malformed", value: expiry }
  const mark = `@${expiry}`
  const named = annotations[holderKey(key)]
  return {
    _tag: "Present",
    expiry,
    expiresAt: instant.seconds * 1000 + Math.ceil(instant.nanos / 1_000_000),
    holder: named?.endsWith(mark) === true ? named.slice(0, -mark.length) : undefined
  }
}

/** The annotations of a lease. As the condition of a write they mean: this very lease still stands. */
export const toAnnotations = (key: string, lease: Lease): Readonly<Record<string, string>> => ({
  [key]: lease.expiry,
  [holderKey(key)]: `${lease.holderId}@${lease.expiry}`
})

/** The change that removes the lock, and nothing else. */
export const removal = (key: string): MetadataPatch => ({ [key]: null, [holderKey(key)]: null })

/** The expiry to write for a lock that must stand until `millis`: rounded up to the whole second. */
export const expiryAt = (millis: number): string => rfc3339.format(Math.ceil(millis / 1000))
