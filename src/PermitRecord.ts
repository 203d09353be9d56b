/**
 * The record of a lock with permits: a line of leases on an object. Pure.
 *
 * Semaphores and shared locks have this record. Each holder of permits and each waiter has a place in the line. The first in the
 * line hold, for as long as their permits fit below the limit. Nothing else says who holds.
 *
 * **Details**
 *
 * - `<key>` says what is locked: `semaphore of 4`, or `shared lock`. It is no time, so a version that knows only the exclusive lock,
 *   and Dex, refuse it.
 * - `<key>-lease-<process ID>.<sequence>` is a lease: `<holder ID> <permits> <expiry>`. A shared lock writes `shared` or `exclusive`
 *   in place of the permits.
 * - `<key>-place-<process ID>.<sequence>` is its place: the resourceVersion that the write found which added the lease. The API server
 *   itself fills it in, so places are different, and follow the order in which it applied the writes. Nobody comes before a lease
 *   that is there.
 * - `<key>-turn-1` and the following name the processes of the waiters that come next (`PermitProtocol`). The label `<key>-next` names the
 *   process that was let in last, or `several`. Both are advice.
 *
 * A lease that is in the line and has expired keeps its place until it is removed, by a write whose condition is that it is unchanged.
 * So who holds does not depend on a clock.
 *
 * **Gotchas**
 *
 * A lease without a place, and a place without a lease, count as nothing.
 */
import * as rfc3339 from "./internal/time/rfc3339.ts"
import { compareDecimals, isDecimal } from "./internal/version.ts"
import { type Lease, type LockRecord, type RecordedLease, removal as removalOfLock } from "./LockRecord.ts"
import type { MetadataPatch } from "./ObjectStore.ts"

/** What a lock with permits is. */
export interface Permits {
  /** How many permits there are. */
  readonly limit: number
  /** The value of the annotation `key`. */
  readonly mark: string
  /** How numbers of permits are written that have a name. */
  readonly words: Readonly<Record<string, number>>
  /** Whether the contenders of one process that take one permit share it. */
  readonly shares: boolean
}

/** A lease with permits, as it is written. */
export interface PermitLease extends Lease {
  /** How many permits it asks for. */
  readonly permits: number
  /** Its place in the line: a resourceVersion. */
  readonly place: string
}

/** A lease in the line. The first in the line that do not fit hold what is left, and those behind it hold nothing. */
export interface Placed extends RecordedLease {
  /** The holder ID. */
  readonly holderId: string
  /** How many permits it asks for. */
  readonly permits: number
  /** Its place in the line: a resourceVersion. */
  readonly place: string
  /** How many of its permits it holds. */
  readonly granted: number
}

/** A semaphore. */
export const semaphore = (limit: number): Permits => ({
  limit,
  mark: `semaphore of ${limit}`,
  words: {},
  shares: false
})

/** How many permits a writer takes: all of them. */
const all = Number.MAX_SAFE_INTEGER

/** A shared lock: a reader takes one of very many permits, a writer takes all. */
export const shared: Permits = { limit: all, mark: "shared lock", words: { shared: 1, exclusive: all }, shares: true }

/** The most permits that a semaphore can have. */
export const largestLimit = 999_999_999

/** Why an annotation key cannot be that of a lock with permits; `undefined` if it can. */
export const problemOf = (key: string): string | undefined =>
  key.length - key.indexOf("/") - 1 <= longestName
    ? undefined
    : `the annotation of a lock with permits must have at most ${longestName} characters after the slash, but is ${JSON.stringify(key)}`

// Kubernetes allows 63. "-lease-", a process ID, a dot and the number of an acquisition take up to 26 of them.
const longestName = 37

/** The name of the annotation of a lease. */
export const leaseKey = (key: string, holderId: string): string => `${key}-lease-${tailOf(holderId)}`

/** The name of the annotation of its place. */
export const placeKey = (key: string, holderId: string): string => `${key}-place-${tailOf(holderId)}`

// A holder ID without the identity: the process, and its acquisition.
const tailOf = (holderId: string): string => holderId.slice(holderId.lastIndexOf("/") + 1)

const leasePattern = /^([A-Za-z0-9._-]{1,63}\/([a-z0-9]{12}\.[a-z0-9]{1,11})) (\d{1,9}|[a-z]{1,9}) (\S{1,40})$/

/** What an annotation `key` with this value says is locked; `undefined` if it cannot be told. */
export const describe = (value: string): string | undefined => {
  if (rfc3339.parse(value) !== undefined) return "an exclusive lock"
  const permits = permitsOf(value)
  return permits && (permits.shares ? "a shared lock" : `a semaphore of ${permits.limit} permits`)
}

/** The permits of a lock with this value of the annotation `key`; `undefined` if it is another kind. */
export const permitsOf = (value: string): Permits | undefined => {
  if (value === shared.mark) return shared
  const limit = /^semaphore of (\d{1,9})$/.exec(value)?.[1]
  return limit === undefined ? undefined : semaphore(Number(limit))
}

/** Whether this value of the annotation `key` is that of a lock with permits. */
export const isMark = (value: string): boolean => permitsOf(value) !== undefined

/** Whether anything is in the line. */
export const isInUse = (key: string, annotations: Readonly<Record<string, string>>): boolean => {
  for (const name in annotations) {
    if (name.startsWith(`${key}-lease-`) && `${key}-place-${name.slice(key.length + 7)}` in annotations) return true
  }
  return false
}

/** Those that stand in lines on an object, under whatever key, the first of a line before the others. */
export const holderIds = (annotations: Readonly<Record<string, string>>): ReadonlyArray<string> =>
  Object.entries(annotations)
    .flatMap(([name, value]) => {
      const [, holderId, tail] = leasePattern.exec(value) ?? []
      if (holderId === undefined || !name.endsWith(`-lease-${tail}`)) return []
      const place = annotations[`${name.slice(0, -`lease-${tail}`.length)}place-${tail}`]
      return place !== undefined && isDecimal(place) ? [{ holderId, place }] : []
    })
    .toSorted(byPlace)
    .map(({ holderId }) => holderId)

/**
 * Reads the line: all leases, in order. The record is malformed if the annotation `key` says that something else is locked, as long as
 * that is in use. A value of which nobody knows what it is counts as in use.
 */
export const fromAnnotations = (
  key: string,
  permits: Permits,
  annotations: Readonly<Record<string, string>>
): LockRecord => {
  const leases = grant(permits.limit, lineOf(key, permits, annotations))
  const value = annotations[key]
  const isOurs = value === undefined || value === permits.mark || (isMark(value) && !isInUse(key, annotations))
  return isOurs ? { _tag: "Leases", leases } : { _tag: "Malformed", key, value, leases }
}

/** The leases of a record of a lock with permits. */
export const placed = (record: LockRecord): ReadonlyArray<Placed> => record.leases as ReadonlyArray<Placed>

// All leases count, however many: one that were left out might hold permits. The limit of 256 KiB for annotations bounds them.
const lineOf = (
  key: string,
  { limit, words }: Permits,
  annotations: Readonly<Record<string, string>>
): ReadonlyArray<Placed> => {
  const leases: Array<Placed> = []
  const prefix = `${key}-lease-`
  for (const name in annotations) {
    if (!name.startsWith(prefix)) continue
    const tail = name.slice(prefix.length)
    const place = annotations[`${key}-place-${tail}`]
    const [, holderId = "", own, amount = "", expiry = ""] = leasePattern.exec(annotations[name]!) ?? []
    const instant = rfc3339.parse(expiry)
    const permits = words[amount] ?? Number(amount)
    const isValid = own === tail && instant !== undefined && permits >= 1 && permits <= limit
    if (!isValid || place === undefined || !isDecimal(place)) continue
    const expiresAt = instant.seconds * 1000 + Math.ceil(instant.nanos / 1_000_000)
    leases.push({ holderId, permits, place, expiry, expiresAt, granted: 0 })
  }
  return leases.toSorted(byPlace)
}

const byPlace = (a: Pick<Placed, "holderId" | "place">, b: Pick<Placed, "holderId" | "place">): number =>
  compareDecimals(a.place, b.place) || (a.holderId < b.holderId ? -1 : 1)

/** Says of each lease in a line how many permits it holds. */
export const grant = (limit: number, line: ReadonlyArray<Placed>): ReadonlyArray<Placed> => {
  let left = limit
  return line.map((lease) => {
    const granted = Math.min(left, lease.permits)
    left = granted < lease.permits ? 0 : left - granted
    return { ...lease, granted }
  })
}

/** The line with a lease at its place, and what each holds then. */
export const withLease = (limit: number, line: ReadonlyArray<Placed>, lease: PermitLease): ReadonlyArray<Placed> =>
  grant(limit, [...line, { ...lease, expiresAt: 0, granted: 0 }].toSorted(byPlace))

/** How many permits of a line nobody holds. */
export const free = (limit: number, line: ReadonlyArray<Placed>): number =>
  line.reduce((left, { granted }) => left - granted, limit)

/** The annotations of a lease. As a precondition they mean that exactly this lease is still on the object. */
export const toAnnotations = (key: string, permits: Permits, lease: PermitLease): Readonly<Record<string, string>> => ({
  [leaseKey(key, lease.holderId)]: textOf(permits, lease),
  [placeKey(key, lease.holderId)]: lease.place
})

/** The value of the annotation of a lease. */
export const textOf = ({ words }: Permits, { expiry, holderId, permits }: Omit<PermitLease, "place">): string => {
  const word = Object.keys(words).find((word) => words[word] === permits)
  return `${holderId} ${word ?? permits} ${expiry}`
}

/** The patch that removes a lease, and nothing else. */
export const removal = (key: string, holderId: string): MetadataPatch => ({
  [leaseKey(key, holderId)]: null,
  [placeKey(key, holderId)]: null
})

/** Whether an annotation belongs to the line. */
export const isLineKey = (key: string, name: string): boolean =>
  ["lease", "place", "turn"].some((part) => name.startsWith(`${key}-${part}-`))

/** The patch that removes a line in which all leases have expired, and what cannot be read of it. */
export const removalOfLine = (key: string, annotations: Readonly<Record<string, string>>): MetadataPatch => {
  const names = Object.keys(annotations).filter((name) => isLineKey(key, name))
  return Object.fromEntries([key, ...names].map((name) => [name, null]))
}

/** The patch that removes what an exclusive lock left behind that has expired. */
export const removalOfExclusive = (key: string, annotations: Readonly<Record<string, string>>): MetadataPatch => {
  const queue = Object.keys(annotations).filter((name) => name === `${key}-queue` || name.startsWith(`${key}-queue-`))
  return Object.assign(removalOfLock(key), ...queue.map((name) => ({ [name]: null })))
}
