/**
 * The protocol, pure: what a lock's record means at a given time, what to do about it, and what to write.
 *
 * Nothing here reads a clock or talks to a store. The library runs these very functions; the tests check them as
 * tables, and the simulation and the exhaustive exploration run them in worlds that fail.
 */
import { glance } from "./internal/protocol/fairness.ts"
import type { Lease, LockRecord } from "./LockRecord.ts"
import * as Record from "./LockRecord.ts"
import type { Queue } from "./LockQueue.ts"
import * as LockQueue from "./LockQueue.ts"
import type { MetadataPatch, ObjectSnapshot, ServerTime, AnnotationGuardedPatch } from "./ObjectStore.ts"

/**
 * The state of a lock.
 *
 * Dex's rule: held while `now <= expiry`, expired strictly after. `now` is the earliest that the server's clock can be,
 * so that a lock which might still be valid is never called expired. `holder` is absent where it is not known.
 */
export type LockState =
  | { readonly _tag: "Free" }
  | ({ readonly _tag: "Held"; readonly until: number } & HolderInfo)
  | ({ readonly _tag: "Expired"; readonly since: number } & HolderInfo)
  | { readonly _tag: "Malformed"; readonly value: string }

/** A lock as others see it: until when, as written, and by whom. `holder` is absent where it is not known. */
export interface HolderInfo {
  readonly expiry: string
  readonly holder?: string
}

/**
 * What a contender does next.
 *
 * - `Acquire`: writes a lease of its own over the object as read, and with it what becomes of the queue. `broken` is the
 *   expired lock that the lease would replace.
 * - `Claim`: takes the lock as handed over. It may be relied on for `lasts` milliseconds from now.
 * - `Wait`: at its `place` in the queue, the first being 0. Where it has none it may join if `canJoin`: never while the
 *   lock is in the hands of somebody without a name, a Dex most likely, whose one attempt to release our write could
 *   spoil.
 */
export type Decision =
  | {
      readonly _tag: "Acquire"
      readonly lease: Lease
      readonly tookOverFrom: HolderInfo | undefined
      readonly queue: MetadataPatch
    }
  | { readonly _tag: "Claim"; readonly lease: Lease; readonly validFor: number }
  | ({ readonly _tag: "Wait" } & WaitState)
  | { readonly _tag: "Malformed"; readonly value: string }

/**
 * Where a contender stands that has to wait. `until` is the expiry, in milliseconds since 1970. Nobody is `seen` where the
 * lock is free, and left so for a moment.
 */
export interface WaitState {
  readonly seen: Partial<HolderInfo>
  readonly until: number
  readonly position: number | undefined
  readonly canJoin: boolean
}

/** What became of a lease that we wrote, by a record read later. */
export type LeaseCheck =
  | { readonly _tag: "Ours"; readonly expiry: string }
  | ({ readonly _tag: "TakenOver" } & HolderInfo)
  | { readonly _tag: "Removed" }

/** Reads a record at a time. */
export const lockState = (record: LockRecord, now: ServerTime): LockState => {
  switch (record._tag) {
    case "Absent":
      return { _tag: "Free" }
    case "Malformed":
      return record
    case "Present": {
      return now.earliest > record.expiresAt
        ? { _tag: "Expired", since: record.expiresAt, ...seen(record) }
        : { _tag: "Held", until: record.expiresAt, ...seen(record) }
    }
  }
}

/**
 * Decides for a contender.
 *
 * A free or expired lock is there to be acquired. One that already names this contender was handed over to it, or is a
 * write of its own whose answer was lost: it is claimed as it stands, or written anew where little is left of it or the
 * contender will not renew it.
 *
 * Whoever breaks an expired lock puts those who stood before it at the end of the queue: it would have been their move,
 * and they may be gone, or not have heard. Who stands in the queue of a lock that is free leaves it so for a moment where
 * it `leavesGap`.
 */
export const decide = (record: LockRecord, queue: Queue, now: ServerTime, contender: Contender): Decision => {
  const { holderId: holder } = contender
  const state = lockState(record, now)
  const place = queue.waiters.indexOf(holder)
  const acquire = (waiting: ReadonlyArray<string>, standing: HolderInfo | undefined): Decision => {
    const isOurs = standing?.holder === holder
    return {
      _tag: "Acquire",
      lease: nextLease(now, contender, isOurs ? standing.expiry : undefined),
      tookOverFrom: isOurs ? undefined : standing,
      queue: LockQueue.queuePatch(contender.key, queue, { waiters: waiting, chainStartedAt: undefined })
    }
  }
  const others = queue.waiters.filter((name) => name !== holder)
  switch (state._tag) {
    case "Malformed":
      return state
    case "Held": {
      if (state.holder !== holder) {
        const canJoin = state.holder !== undefined && place < 0 && others.length < LockQueue.capacity
        return { _tag: "Wait", seen: seen(state), until: state.until, position: place < 0 ? undefined : place, canJoin }
      }
      const lasts = state.until - now.latest
      return contender.renews && lasts >= minClaim
        ? { _tag: "Claim", lease: { holderId: holder, expiry: state.expiry }, validFor: lasts }
        : acquire(others, seen(state))
    }
    case "Free":
      return contender.yields && place >= 0
        ? { _tag: "Wait", seen: {}, until: now.earliest + glance, position: place, canJoin: false }
        : acquire(others, undefined)
    case "Expired":
      return acquire([...queue.waiters.slice(place + 1), ...queue.waiters.slice(0, Math.max(0, place))], seen(state))
  }
}

/**
 * When a contender looks again that hears nothing, in milliseconds from now: once the lock would have expired, the first
 * in the queue before the second. Who is told only of its own turn looks after a second in any case: the queue may have
 * been wiped, or be one that stands still.
 */
export const recheckDelay = ({ position: place, until }: WaitState, now: ServerTime, isToldAll: boolean): number => {
  const left = Math.max(1, until + 1 - now.earliest)
  return (isToldAll ? left : Math.min(left, stableHolderAfter)) + Math.min((place ?? 0) * stagger, longestStagger)
}

// In milliseconds.
const stagger = 100
const longestStagger = 2000

/**
 * For how long (milliseconds) one and the same holder has the lock until those in its queue watch the object as it is,
 * rather than for their own turn alone. Our choice: a lock in such demand that it matters what a hand-over tells whom goes
 * around faster.
 */
export const stableHolderAfter = 1000

/**
 * Who wants the lock of which key, for how long (`ttl` in milliseconds), whether it will be renewed, and whether the
 * contender has yet to leave a free lock to others: to Dex, or to who released it and is about to hand it on.
 */
export interface Contender {
  readonly key: string
  readonly holderId: string
  readonly ttl: number
  readonly renews: boolean
  readonly yields: boolean
}

// A lock that was handed over and ends sooner than this is written anew before anybody relies on it, in milliseconds.
const minClaim = 1000

/**
 * The lease to write now, to acquire or to renew.
 *
 * It ends no earlier than `ttl` after the latest that the server's clock can be, rounded up to whole seconds: what others
 * read is never earlier than what the holder relies on. Nor does it end earlier than `standing`, the expiry of a lease of
 * this very holder that may stand: as more is learnt of the server's clock its latest time can shrink, and a write whose
 * answer was lost may yet arrive after a later one. None of them may shorten what another has promised.
 */
export const nextLease = (
  now: ServerTime,
  { holderId: holder, ttl }: Pick<Contender, "holderId" | "ttl">,
  standing?: string
): Lease => {
  const expiry = Record.expiryAt(now.latest + ttl)
  // Both are of our own writing, whole seconds in UTC, and so in the order of time.
  return { holderId: holder, expiry: standing !== undefined && standing > expiry ? standing : expiry }
}

/**
 * Judges by a later reading what became of a holder's lease: it stands, somebody else's stands in its place, or none does.
 */
export const verifyLease = (record: LockRecord, holder: string): LeaseCheck => {
  switch (record._tag) {
    case "Absent":
      return { _tag: "Removed" }
    case "Malformed":
      return { _tag: "TakenOver", expiry: record.value }
    case "Present":
      return record.holder === holder ? { _tag: "Ours", expiry: record.expiry } : { _tag: "TakenOver", ...seen(record) }
  }
}

/**
 * What follows on a lock that is given up: what to write, whether that wakes somebody, and whether who wants it again
 * found a place in the queue.
 */
export interface HandOverPlan {
  readonly write: { readonly annotations: MetadataPatch; readonly labels?: MetadataPatch }
  readonly wakes: boolean
  readonly requeued: boolean
}

/** How a lock is given up: by whom, who of its process wants it again, and whether Dex shall have its turns. */
export interface ReleaseRequest {
  readonly key: string
  readonly holderId: string
  readonly requeue: string | undefined
  readonly sharedWithDex: boolean
}

/**
 * What follows on a lock that is given up, by the object as it was last seen.
 *
 * The first in the queue gets it, by a lease that is short: long enough to begin with, and over soon if nobody is there
 * any more. Where nobody waits nothing is left on the object. Beside Dex, which sees no queue, a lock that went from hand
 * to hand for a while is left free, and only the label tells the first in the queue.
 */
export const planHandOver = (
  { annotations, labels }: Pick<ObjectSnapshot, "annotations" | "labels">,
  now: ServerTime,
  leaving: ReleaseRequest
): HandOverPlan => successionIn(LockQueue.fromAnnotations(leaving.key, annotations), labels, now, leaving)

const successionIn = (
  queue: Queue,
  labels: ObjectSnapshot["labels"],
  now: ServerTime,
  { sharedWithDex: besideDex, holderId: holder, key, requeue }: ReleaseRequest
): HandOverPlan => {
  const label = LockQueue.labelKey(key)
  const waiting = queue.waiters.filter((name) => name !== holder && name !== requeue)
  const first = waiting[0]
  if (first === undefined) {
    const line = LockQueue.queuePatch(key, queue, { waiters: waiting, chainStartedAt: undefined })
    return {
      write: {
        annotations: { ...Record.removal(key), ...line },
        ...(label in labels ? { labels: { [label]: null } } : {})
      },
      wakes: false,
      requeued: false
    }
  }
  const requeued = requeue !== undefined && waiting.length <= LockQueue.capacity
  const line = requeued ? [...waiting, requeue] : waiting
  const isLong =
    besideDex && queue.chainStartedAt !== undefined && now.earliest - queue.chainStartedAt > maxHandOverChain
  const lock = isLong
    ? Record.removal(key)
    : Record.toAnnotations(key, nextLease(now, { holderId: first, ttl: handOverTtl }))
  const next = isLong
    ? { waiters: line, chainStartedAt: undefined }
    : {
        waiters: line.slice(1),
        chainStartedAt: besideDex ? (queue.chainStartedAt ?? Math.round(now.latest)) : undefined
      }
  return {
    write: {
      annotations: { ...lock, ...LockQueue.queuePatch(key, queue, next) },
      labels: { [label]: LockQueue.processIdOf(first) }
    },
    wakes: true,
    requeued
  }
}

/** How long a lock that is handed over lasts, until its new holder renews it: in milliseconds, our choice. */
export const handOverTtl = 3000

// How long a lock goes from hand to hand beside Dex before it is left free for a moment, in milliseconds.
const maxHandOverChain = 250

/** The write that gives up a lease which stands, by the object as it was last seen. */
export const planRelease = (
  seen: Pick<ObjectSnapshot, "annotations" | "labels">,
  lease: Lease,
  now: ServerTime,
  leaving: ReleaseRequest
): { readonly write: AnnotationGuardedPatch; readonly succession: HandOverPlan } => {
  const { key } = leaving
  const queue = LockQueue.fromAnnotations(key, seen.annotations)
  const next = successionIn(queue, seen.labels, now, leaving)
  const isQuiet = Object.keys(queue.annotations).length === 0
  return {
    write: {
      expect: {
        annotations: { ...Record.toAnnotations(key, lease), ...(isQuiet ? {} : LockQueue.precondition(key, queue)) },
        ...(next.write.labels === undefined ? {} : { hasLabels: Object.keys(seen.labels).length > 0 })
      },
      ...next.write
    },
    succession: next
  }
}

const seen = ({ expiry, holder }: { readonly expiry: string; readonly holder?: string | undefined }): HolderInfo =>
  holder === undefined ? { expiry } : { expiry, holder }
