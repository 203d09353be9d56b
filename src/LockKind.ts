/**
 * A kind of lock: a codec for its record, and a rule that says which contenders may hold the lock together.
 *
 * Everything else (acquiring, the queue, hand-overs, renewal, clocks, lost answers, telemetry) is one engine that does not
 * know which kind it serves.
 */
import type { Lease, LockRecord, RecordedLease } from "./LockRecord.ts"
import * as Record from "./LockRecord.ts"
import type { MetadataPatch } from "./ObjectStore.ts"

/**
 * A kind of lock.
 *
 * - `key`: the annotation from which the names of all other annotations and of the label derive.
 * - `decode`: reads the leases on an object.
 * - `encode`: the annotations of one lease. As a precondition they mean that exactly this lease is still on the object.
 * - `removal`: the patch that removes the lease of a holder.
 * - `held`: the precondition "a holder that has a name holds the lock".
 * - `admits`: whether a contender may take the lock beside these unexpired leases.
 */
export interface LockKind {
  readonly key: string
  readonly decode: (annotations: Readonly<Record<string, string>>) => LockRecord
  readonly encode: (lease: Lease) => Readonly<Record<string, string>>
  readonly removal: (holderId: string) => MetadataPatch
  readonly held: Readonly<Record<string, true>>
  readonly admits: (leases: ReadonlyArray<RecordedLease>) => boolean
}

/** The exclusive lock on an annotation, wire-compatible with Dex: one holder at a time. */
export const exclusive = (key: string): LockKind => ({
  key,
  decode: (annotations) => Record.fromAnnotations(key, annotations),
  encode: (lease) => Record.toAnnotations(key, lease),
  removal: () => Record.removal(key),
  held: { [Record.holderKey(key)]: true },
  admits: (leases) => leases.length === 0
})
