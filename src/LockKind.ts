/**
 * A kind of lock: a codec for its record, and a rule that says which contenders may hold the lock together.
 *
 * Everything else (acquiring, the queue, hand-overs, renewal, clocks, lost answers, telemetry) is one engine that does not
 * know which kind it serves.
 */
import type * as subject from "./internal/subject.ts"
import * as LockPolicy from "./LockPolicy.ts"
import type { Lease, LockRecord, RecordedLease } from "./LockRecord.ts"
import * as Record from "./LockRecord.ts"
import * as PermitRecord from "./PermitRecord.ts"
import type { MetadataPatch, ObjectStore } from "./ObjectStore.ts"

/**
 * A kind of lock.
 *
 * `encode`, `removal` and `held` are those of `key`, or of another key if it is given.
 */
export interface LockKind {
  /** What messages call it. */
  readonly what: subject.What
  /** The annotation from which the names of all other annotations and of the label derive. */
  readonly key: string
  /** The keys under which other processes hold the same lock, and wait for it. */
  readonly otherKeys: ReadonlyArray<string>
  /** Reads the leases on an object, those under the other keys included. */
  readonly decode: (annotations: Readonly<Record<string, string>>) => LockRecord
  /** The annotations of one lease. As a precondition they mean that exactly this lease is still on the object. */
  readonly encode: (lease: Lease, key?: string) => Readonly<Record<string, string>>
  /** The patch that removes the lease of a holder. */
  readonly removal: (holderId: string, key?: string) => MetadataPatch
  /** The precondition "a holder that has a name holds the lock". */
  readonly held: (key?: string) => Readonly<Record<string, true>>
  /** Whether a contender may take the lock beside these unexpired leases. */
  readonly admits: (leases: ReadonlyArray<RecordedLease>) => boolean
  /**
   * How many permits the lock has. Then its holders and waiters stand in one line (`PermitRecord`), of which
   * `PermitProtocol` is the rule. Without it, it is an exclusive lock, of which `LockProtocol` and `LockQueue` are
   * the rules.
   */
  readonly permits?: PermitRecord.Permits
}

/**
 * The exclusive lock on an annotation, wire-compatible with Dex: one holder at a time.
 *
 * The two keys that a resource has by default, `LockPolicy.dexAnnotation` and `LockPolicy.neutralAnnotation`, are two names of one
 * lock. Processes with either key exclude each other, wait in turn, and hand the lock over to each other. Each holds it under its own
 * key. Any other key is a lock of its own.
 */
export const exclusive = (key: string): LockKind => {
  const otherKeys = otherKeysOf(key)
  return {
    what: "lock",
    key,
    otherKeys,
    decode: (annotations) =>
      otherKeys.reduce(
        (record, other) => merge(record, other, decodeExclusive(other, annotations)),
        decodeExclusive(key, annotations)
      ),
    encode: (lease, under = key) => Record.toAnnotations(under, lease),
    removal: (_, under = key) => Record.removal(under),
    held: (under = key) => ({ [Record.holderKey(under)]: true }),
    admits: (leases) => leases.length === 0
  }
}

/** A semaphore on an annotation: as many permits as `limit` says. It respects what is locked under the other default key. */
export const semaphore = (key: string, limit: number): LockKind => withPermits(key, PermitRecord.semaphore(limit))

/** A lock on an annotation that readers share, or one writer has. It respects what is locked under the other default key. */
export const shared = (key: string): LockKind => withPermits(key, PermitRecord.shared)

/** The kind of lock of a policy on the objects of a store. A policy for objects that Dex shares has Dex's key. */
export const of = (policy: LockPolicy.LockPolicy, store: ObjectStore["Service"]): LockKind =>
  exclusive(policy.annotation ?? (policy.sharedWithDex === true ? LockPolicy.dexAnnotation : store.annotation))

const defaultKeys: ReadonlyArray<string> = [LockPolicy.dexAnnotation, LockPolicy.neutralAnnotation]

const otherKeysOf = (key: string): ReadonlyArray<string> =>
  defaultKeys.includes(key) ? defaultKeys.filter((other) => other !== key) : []

// The mark that a semaphore or a shared lock leaves behind locks nothing.
const decodeExclusive = (key: string, annotations: Readonly<Record<string, string>>): LockRecord => {
  const record = Record.fromAnnotations(key, annotations)
  const isUnused =
    record._tag === "Malformed" && PermitRecord.isMark(record.value) && !PermitRecord.isInUse(key, annotations)
  return isUnused ? { _tag: "Leases", leases: [] } : record
}

/** A lock with permits on an annotation. */
export const withPermits = (key: string, permits: PermitRecord.Permits): LockKind => {
  const otherKeys = otherKeysOf(key)
  return {
    key,
    otherKeys,
    what: permits.shares ? "shared lock" : "semaphore",
    permits,
    decode: (annotations) => {
      const read = lines.get(annotations)
      const { limit, mark } = permits
      if (read?.key === key && read.mark === mark && read.limit === limit) return read.record
      const record = decodeLine({ key, otherKeys, permits }, annotations)
      lines.set(annotations, { key, mark, limit, record })
      return record
    },
    encode: (lease) => PermitRecord.toAnnotations(key, permits, lease as PermitRecord.PermitLease),
    removal: (holderId) => PermitRecord.removal(key, holderId),
    held: () => ({}),
    admits: () => false
  }
}

/** A line as it was read, for what kind of lock. */
interface ReadLine extends Pick<PermitRecord.Permits, "limit" | "mark"> {
  readonly key: string
  readonly record: LockRecord
}

// A line is read once for all that is asked of one answer.
const lines = new WeakMap<Readonly<Record<string, string>>, ReadLine>()

const decodeLine = (
  { key, otherKeys, permits }: Pick<LockKind, "key" | "otherKeys"> & Required<Pick<LockKind, "permits">>,
  annotations: Readonly<Record<string, string>>
): LockRecord => {
  const record = PermitRecord.fromAnnotations(key, permits, annotations)
  const other = otherKeys.find((other) => !Record.isFree(decodeExclusive(other, annotations)))
  return other === undefined || record._tag === "Malformed"
    ? record
    : { _tag: "Malformed", key: other, value: annotations[other]!, leases: record.leases }
}

const merge = (own: LockRecord, key: string, other: LockRecord): LockRecord => {
  if (other._tag === "Leases" && other.leases.length === 0) return own
  const leases = [...own.leases, ...other.leases.map((lease) => ({ ...lease, key }))]
  const malformed = own._tag === "Malformed" ? own : other
  return malformed._tag === "Malformed" ? { ...malformed, leases } : { _tag: "Leases", leases }
}
