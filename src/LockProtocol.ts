/**
 * The rules of the protocol: what a record means at a given time, what a contender does about it, and what a holder writes
 * when it gives the lock up. Pure.
 *
 * Nothing here reads a clock or talks to a store. The library, the simulation and the exhaustive exploration run these very
 * functions.
 */
import * as LockError from "./LockError.ts"
import type { LockKind } from "./LockKind.ts"
import type { Lease, LockRecord, RecordedLease } from "./LockRecord.ts"
import { expiryAt } from "./LockRecord.ts"
import type { Queue } from "./LockQueue.ts"
import * as LockQueue from "./LockQueue.ts"
import type { AnnotationGuardedPatch, MetadataPatch, ObjectSnapshot, ServerTime } from "./ObjectStore.ts"
import { idKey, managedBy } from "./ObjectStore.ts"
import * as PermitRecord from "./PermitRecord.ts"

/**
 * The state of a lock.
 *
 * Dex's rule: a lock is held while `now <= expiry`, and expired strictly after. `now` is the earliest that the server's clock
 * can be, so that a lock that might still be valid is never called expired. `holder` is absent if it is not known.
 */
export type LockState =
  | { readonly _tag: "Free" }
  | ({ readonly _tag: "Held"; readonly until: number } & HolderInfo)
  | ({ readonly _tag: "Expired"; readonly since: number } & HolderInfo)
  | { readonly _tag: "Malformed"; readonly key: string; readonly value: string }

/** A holder as others see it. */
export interface HolderInfo {
  /** The expiry of its lease, as written. */
  readonly expiry: string
  /** Its holder ID, if it is known. */
  readonly holder?: string
  /** The annotation of its lease, if that is not the lock's own. */
  readonly key?: string
}

/**
 * What a contender does next.
 *
 * - `Acquire`: writes `patch` over the object as read: its lease, and what becomes of the queue. `tookOverFrom` is the expired
 *   holder that the lease replaces.
 * - `Rewrite`: writes its lease anew over the one that stands, `over`, whatever else has changed.
 * - `Claim`: takes the lock that was handed to it. The lease is valid for `validFor` milliseconds from now.
 * - `Wait`: waits, in the queue or not.
 */
export type Decision =
  | {
      readonly _tag: "Acquire"
      readonly lease: Lease
      readonly patch: MetadataPatch
      readonly labels?: MetadataPatch
      readonly tookOverFrom: HolderInfo | undefined
    }
  | { readonly _tag: "Rewrite"; readonly lease: Lease; readonly over: Lease }
  | { readonly _tag: "Claim"; readonly lease: Lease; readonly validFor: number }
  | ({ readonly _tag: "Wait" } & WaitState)
  | { readonly _tag: "Malformed"; readonly key: string; readonly value: string }

/** What a contender waits for. */
export interface WaitState {
  /** The holder; empty if the lock is free and the contender leaves it free for a moment. */
  readonly seen: Partial<HolderInfo>
  /** When to expect a change, in milliseconds since 1970: the expiry. */
  readonly until: number
  /** Its position in the queue, the first being 0; `undefined` if it is not in the queue. */
  readonly position: number | undefined
  /**
   * Whether it may join the queue. Never while a holder without a name has the lock: that is most likely a Dex, and a
   * write of ours could spoil its only attempt to release.
   */
  readonly canJoin: boolean
  /** Whether it may not join because the queue is full. */
  readonly isFull: boolean
  /**
   * Whether its place is a lease, which it must keep while it waits. Then `until` says when to write it, if not
   * before.
   */
  readonly keepsPlace?: boolean
  /** The session of the holder. If it ends, the lock can be had at once. */
  readonly session?: string
}

/** What a process knows of sessions, without a request. */
export interface KnownSessions {
  /** The session under which it holds what it acquires now; `undefined` if it holds it by leases of its own. */
  readonly current: () => string | undefined
  /** Whether it knows that a session has ended, and cannot be renewed any more. */
  readonly hasEnded: (session: string) => boolean
}

/** The sessions of a process that knows none. */
export const noSessions: KnownSessions = { current: () => undefined, hasEnded: () => false }

/**
 * How long a lease under a session lasts, in milliseconds: a day. Only a contender that knows no sessions goes by it, so it must be longer
 * than most locks are held, and is renewed once it is half over. Our choice.
 */
export const sessionLeaseTtl = 86_400_000

/** What a later reading says about a lease that this process wrote. */
export type LeaseCheck =
  | { readonly _tag: "Ours"; readonly lease: Lease; readonly expiry: string; readonly expiresAt: number }
  | ({ readonly _tag: "TakenOver" } & HolderInfo)
  | { readonly _tag: "Removed" }

/** A contender for a lock of this kind. */
export interface Contender {
  /** The kind of lock. */
  readonly kind: LockKind
  /** The holder ID under which it would hold the lock. */
  readonly holderId: string
  /** How long its lease lasts, in milliseconds. */
  readonly ttl: number
  /** Whether it renews its lease. */
  readonly renews: boolean
  /**
   * Whether it leaves a free lock to others for a moment before it takes it: to Dex, or to a releaser that is about
   * to hand it over.
   */
  readonly yields: boolean
  /** How many permits it asks for, if the lock has any. */
  readonly asks?: Asked | undefined
  /** What its process knows of sessions. */
  readonly sessions?: KnownSessions | undefined
  /** The holders to which it leaves the lock although their leases have expired. */
  readonly spares?: ((holder: HolderInfo) => boolean) | undefined
}

/** The permits that a contender asks for. */
export interface Asked {
  /** How many it asks for. */
  readonly permits: number
  /** How many of them it must hold before it goes on. */
  readonly needs: number
}

/** How long a queued waiter leaves a free lock to others, in milliseconds: longer than Dex's poll. Our choice. */
export const yieldFor = 130

/** How long it leaves the lock to Dex if a Dex came, in milliseconds: more of them may wait. Our choice. */
export const yieldToDexFor = 500

/**
 * How long one holder keeps the lock before its waiters watch the object instead of their own turn alone, in milliseconds. Our
 * choice: a lock in such demand that the number of events matters changes hands faster.
 */
export const stableHolderAfter = 1000

/** A claim with less than this left is written anew before its holder relies on it, in milliseconds. Our choice. */
export const minClaim = 1000

/** How long a lease lasts that a releaser writes for the next holder, in milliseconds. Our choice. */
export const handOverTtl = 3000

/** How long a lock goes from hand to hand before it is left free for Dex, in milliseconds. Our choice. */
export const maxHandOverChain = 250

/**
 * The same after a Dex had the lock, for each waiter, in milliseconds. Our choice: a few waiters beside many Dex would otherwise
 * have most of the turns.
 */
export const handOverChainAfterDex = 30

/** How long a waiter waits before it looks again for want of news, in milliseconds. Our choice. */
export const recheckAfter = 1000

/**
 * An uncertainty of the server's clock that is too large to wait by, in milliseconds. A `Date` header alone leaves one second, and a
 * wait of a minute another 0.6. Our choice.
 */
export const vagueTime = 3000

/** How much later each waiter rechecks than the waiter before it, and how much later at most, in milliseconds. Our choice. */
export const recheckStagger = { perPosition: 100, atMost: 2000 }

/**
 * The same for waiters that look because the lock has expired, of which those in front may have died with its holder: never more than
 * `atMost` milliseconds, and half of it for the waiter in this position. Our choice.
 */
export const takeoverStagger = { halfAt: 20, atMost: 500 }

const staggerOf = (position: number, isExpiry: boolean): number =>
  isExpiry
    ? Math.round((takeoverStagger.atMost * position) / (position + takeoverStagger.halfAt))
    : Math.min(position * recheckStagger.perPosition, recheckStagger.atMost)

/** How long a waiter leaves a lock whose holder's session has ended to those before it in the queue, in milliseconds. */
export const takeoverDelay = ({ position = 0 }: WaitState): number => staggerOf(position, true)

/** Reads a record at a time, with what is known of sessions. */
export const lockState = (record: LockRecord, now: ServerTime, sessions = noSessions): LockState => {
  if (record._tag === "Malformed") return { _tag: "Malformed", key: record.key, value: record.value }
  const lease = record.leases.find((lease) => isLive(lease, now, sessions)) ?? record.leases[0]
  if (lease === undefined) return { _tag: "Free" }
  return isLive(lease, now, sessions)
    ? { _tag: "Held", until: lease.expiresAt, ...infoOf(lease) }
    : { _tag: "Expired", since: lease.expiresAt, ...infoOf(lease) }
}

/**
 * Decides for a contender.
 *
 * - A lock that admits the contender is acquired. If it is free, and the contender is in the queue and yields, it waits for a
 *   moment first.
 * - A lock that names this contender was handed to it, or it is a write of its own whose answer was lost. The contender claims
 *   it as it stands, or writes it anew if little is left of it, the contender does not renew, or it is under another session than the
 *   present one.
 * - A lock under a session that has ended has expired. So has one that an earlier acquisition of the same process has left behind under
 *   the present session: of each process, one contender at a time seeks a lock, and none while another has it.
 * - A contender that takes over from an expired holder empties the queue: whoever let a lease expire may have died together with
 *   waiters, and nobody can tell which. The living join again, in the order of the versions in which they first found the object.
 */
export const decide = (record: LockRecord, queue: Queue, now: ServerTime, contender: Contender): Decision => {
  if (record._tag === "Malformed") return { _tag: "Malformed", key: record.key, value: record.value }
  const { holderId, kind } = contender
  const { leases } = record
  const sessions = contender.sessions ?? noSessions
  const isSpared = (lease: RecordedLease) => contender.spares?.(infoOf(lease)) === true
  const live = leases.filter(
    (lease) => (isLive(lease, now, sessions) || isSpared(lease)) && !isLeftOver(lease, contender)
  )
  const own = ownIn(leases, holderId)
  const index = queue.waiters.indexOf(holderId)
  const position = index < 0 ? undefined : index
  const others = () => queue.waiters.filter((waiter) => waiter !== holderId)

  const ofOthers = live.filter((lease) => lease !== own)
  const isAdmitted = kind.admits(ofOthers)
  if (own !== undefined && isAdmitted && live.includes(own)) {
    const validFor = own.expiresAt - now.latest
    const over = leaseFrom(holderId, own)
    const isClaimable = contender.renews && validFor >= minClaim
    return isClaimable && (own.session === undefined || own.session === sessions.current())
      ? { _tag: "Claim", lease: over, validFor }
      : { _tag: "Rewrite", lease: newLease(now, contender, own), over }
  }
  if (!isAdmitted) {
    const first = ofOthers.reduce((a, b) => (b.expiresAt < a.expiresAt ? b : a))
    const isNamed = ofOthers.every((lease) => lease.holderId !== undefined)
    const isFull = queue.waiters.length >= LockQueue.capacity
    const canJoin = isNamed && position === undefined && !isFull
    const { session } = first
    return {
      _tag: "Wait",
      seen: infoOf(first),
      until: first.expiresAt,
      position,
      canJoin,
      isFull: isNamed && isFull,
      ...(session === undefined ? {} : { session })
    }
  }
  if (leases.length > live.length) {
    const isOwn = leases.every((lease) => lease === own || live.includes(lease))
    return planAcquire(leases, queue, isOwn ? others() : [], now, contender)
  }
  return contender.yields && position !== undefined
    ? { _tag: "Wait", seen: {}, until: now.earliest + yieldFor, position, canJoin: false, isFull: false }
    : planAcquire(leases, queue, others(), now, contender)
}

const planAcquire = (
  leases: ReadonlyArray<RecordedLease>,
  queue: Queue,
  waiters: ReadonlyArray<string>,
  now: ServerTime,
  contender: Contender
): Decision => {
  const { holderId, kind } = contender
  const own = ownIn(leases, holderId)
  const expired = leases.filter(
    (lease) => lease !== own && (!isLive(lease, now, contender.sessions) || isLeftOver(lease, contender))
  )
  const lease = newLease(now, contender, own)
  return {
    _tag: "Acquire",
    lease,
    patch: {
      ...Object.assign({}, ...expired.map((lease) => kind.removal(lease.holderId ?? "", lease.key))),
      ...kind.encode(lease),
      ...LockQueue.queuePatch(kind.key, queue, { waiters, chainStartedAt: undefined })
    },
    tookOverFrom: expired[0] === undefined ? undefined : infoOf(expired[0])
  }
}

/**
 * How long until a waiter that hears nothing looks again, in milliseconds: until the lock would have expired, the first in the
 * queue before the second. A waiter that hears of its own turn alone looks after a second in any case: the queue may have been
 * wiped, or may not move. A waiter that knows the time badly, because its clock was set back while it heard nothing, looks once
 * the lock may have expired: the answer tells the time, too.
 */
export const recheckDelay = (
  { position = 0, seen, until }: WaitState,
  now: ServerTime,
  watchesObject: boolean
): number => {
  const left = Math.max(1, until + 1 - now.earliest)
  const isVague = now.latest - now.earliest > vagueTime
  const untilExpiry = isVague ? Math.max(recheckAfter, until - now.latest) : left
  const longest = watchesObject ? untilExpiry : recheckAfter
  const isExpiry = seen.expiry !== undefined && left <= longest
  return Math.min(left, longest) + staggerOf(position, isExpiry)
}

/**
 * By how much an expiry may be further ahead than the TTL (milliseconds), because the process does not know the server's clock
 * exactly: by as much again, or 5 seconds if the TTL is shorter. Our choice.
 */
export const expiryMargin = (ttl: number): number => Math.max(ttl, 5000)

/** The error of a contender that cannot tell what time it is on the server. */
export const clockUnknown = (object: string): LockError.Unavailable =>
  new LockError.Unavailable({ object, verb: "get", detail: "the answers do not tell what time it is on the server" })

/** Whether anything is known about the server's clock. */
export const isClockKnown = ({ latest }: ServerTime): boolean => latest < Number.POSITIVE_INFINITY

/** Whether the server's clock is known closely enough to write a lease of so many milliseconds without asking first. */
export const isClockUsable = ({ earliest, latest }: ServerTime, ttl: number): boolean =>
  latest - earliest <= expiryMargin(ttl)

/**
 * The lease to write now, to acquire or to renew.
 *
 * It ends no earlier than `ttl` after the latest that the server's clock can be, rounded up to whole seconds: others never read
 * an earlier expiry than the holder relies on. But it ends no later than the TTL and its margin after the earliest that the clock
 * can be, so that a process that knows the time badly does not block others for long. Then the holder relies on less (`validFor`).
 *
 * Nor does it end before `existing`, the expiry of a lease of the same holder that may be on the object. A process that learns more
 * about the server's clock may compute an earlier time than before, and a write whose answer was lost may arrive after a later one.
 * No write may shorten what another promised.
 */
export const nextLease = (
  now: ServerTime,
  { holderId, ttl }: Pick<Contender, "holderId" | "ttl">,
  existing?: string
): Lease => {
  const expiry = expiryAt(Math.min(now.latest, now.earliest + expiryMargin(ttl)) + ttl)
  // Both are our own writing, whole seconds in UTC, so they sort as text.
  return { holderId, expiry: existing !== undefined && existing > expiry ? existing : expiry }
}

/**
 * The lease that a contender writes now, over one of its own if it has one: under the present session of its process, if it renews its
 * leases and there is one. A lease under a session says nothing of how long another one must last.
 */
export const newLease = (now: ServerTime, contender: Contender, own?: Lease | RecordedLease): Lease => {
  const session = contender.renews ? contender.sessions?.current() : undefined
  const existing = own?.session === undefined ? own?.expiry : undefined
  if (session === undefined) return nextLease(now, contender, existing)
  const { holderId } = contender
  const { expiry } = nextLease(now, { holderId, ttl: sessionLeaseTtl }, existing)
  return { holderId, expiry, session }
}

/** The TTL of a lease, in milliseconds: that of its contender, unless it is under a session. */
export const ttlOf = ({ session }: Lease, ttl: number): number => (session === undefined ? ttl : sessionLeaseTtl)

/** For how long, in milliseconds, a holder may rely on a lease that it writes now: no longer than others see it as held. */
export const validFor = (now: ServerTime, ttl: number): number =>
  Math.min(ttl, now.earliest + expiryMargin(ttl) + ttl - now.latest)

/** Compares a later record with the lease of a holder: whether it is still the holder's. */
export const verifyLease = (record: LockRecord, holderId: string): LeaseCheck => {
  const own = ownIn(record.leases, holderId)
  if (own !== undefined) {
    const { expiresAt, expiry } = own
    return { _tag: "Ours", lease: leaseFrom(holderId, own), expiry, expiresAt }
  }
  if (record._tag === "Malformed") return { _tag: "TakenOver", expiry: record.value }
  const [other] = record.leases
  return other === undefined ? { _tag: "Removed" } : { _tag: "TakenOver", ...infoOf(other) }
}

/** Whether the answer to a write shows this very lease. What an answer does not show did not happen. */
export const isStored = (record: LockRecord, { expiry, holderId, session }: Lease): boolean => {
  const own = ownIn(record.leases, holderId)
  return own?.expiry === expiry && own.session === session
}

/**
 * What a lock's object is to the lock.
 *
 * - `Idle`: a lock made it, nothing is on it but what a lock wrote, nobody holds the lock, and nobody is in the queue.
 * - `InUse`: a lock made it, and somebody holds the lock or waits for it, or its record cannot be read.
 * - `Foreign`: something else made it, or something else is on it, or Dex may wait for it, which leaves no trace.
 */
export type Usage = "Idle" | "InUse" | "Foreign"

/** Tells what an object is to the lock of this kind. Its content does not count. */
export const usageOf = (
  { annotations, labels }: Pick<ObjectSnapshot, "annotations" | "labels">,
  kind: LockKind,
  now: ServerTime,
  sharedWithDex: boolean
): Usage => {
  const keys = [kind.key, ...kind.otherKeys]
  const isOwn = (name: string) =>
    name === idKey ||
    keys.some(
      (key) => name in kind.removal("", key) || LockQueue.isQueueKey(key, name) || PermitRecord.isLineKey(key, name)
    )
  if (sharedWithDex || labels[managedBy.key] !== managedBy.value || !Object.keys(annotations).every(isOwn))
    return "Foreign"
  const { _tag } = lockState(kind.decode(annotations), now)
  const isFree = _tag === "Free" || _tag === "Expired"
  return isFree && queueOf(kind, annotations).waiters.length === 0 ? "Idle" : "InUse"
}

/** What a releaser writes. */
export interface HandOverPlan {
  /** The patch. */
  readonly patch: { readonly annotations: MetadataPatch; readonly labels?: MetadataPatch }
  /** Whether it wakes a waiter. */
  readonly wakes: boolean
  /** Whether the waiter of the releaser's own process got a place in the queue. */
  readonly requeued: boolean
  /** That of the queue as read. */
  readonly chainStartedAt: number | undefined
}

/** A release. */
export interface ReleaseRequest {
  /** The kind of lock. */
  readonly kind: LockKind
  /** The holder that releases. */
  readonly holderId: string
  /** The waiter of the same process that wants the lock again, if there is one. */
  readonly requeue: string | undefined
  /** Whether Dex shares the object. */
  readonly sharedWithDex: boolean
  /**
   * When the chain of hand-overs started that led here, in milliseconds since 1970, if a release has just taken it
   * off the object.
   */
  readonly chainStartedAt?: number | undefined
  /** Which waiters seem to be gone: they lose their places in the queue. */
  readonly passesOver?: ((waiter: string) => boolean) | undefined
}

/**
 * Plans who gets a lock that is given up, from the object as last seen.
 *
 * The first waiter gets it, with a short lease: long enough to begin with, and soon over if the waiter is gone. If nobody waits,
 * nothing stays on the object. If Dex shares the object, a lock that went from hand to hand for `maxHandOverChain` is left free,
 * because Dex sees no queue: the label alone tells the first waiter.
 */
export const planHandOver = (
  { annotations, labels }: Pick<ObjectSnapshot, "annotations" | "labels">,
  now: ServerTime,
  request: ReleaseRequest
): HandOverPlan => planIn(queueOf(request.kind, annotations), labels, now, request)

const planIn = (
  queue: Queue,
  labels: ObjectSnapshot["labels"],
  now: ServerTime,
  { chainStartedAt: earlierChain, holderId, kind, passesOver = () => false, requeue, sharedWithDex }: ReleaseRequest
): HandOverPlan => {
  const waiters = queue.waiters.filter((waiter) => waiter !== holderId && waiter !== requeue && !passesOver(waiter))
  const first = waiters[0]
  const chainStartedAt = queue.chainStartedAt ?? earlierChain
  const oldLabels = [kind.key, ...kind.otherKeys].map(LockQueue.labelKey).filter((label) => label in labels)
  const noLabels = Object.fromEntries(oldLabels.map((label) => [label, null]))
  if (first === undefined) {
    const emptied = LockQueue.queuePatch(kind.key, queue, { waiters, chainStartedAt: undefined })
    return {
      patch: {
        annotations: { ...kind.removal(holderId), ...emptied },
        ...(oldLabels.length > 0 ? { labels: noLabels } : {})
      },
      wakes: false,
      requeued: false,
      chainStartedAt
    }
  }
  const requeued = requeue !== undefined && waiters.length <= LockQueue.capacity
  const order = requeued ? [...waiters, requeue] : waiters
  const isFreed = sharedWithDex && chainStartedAt !== undefined && now.earliest - chainStartedAt > maxHandOverChain
  const key = LockQueue.keyOf(kind.key, queue, first)
  const lease = isFreed ? {} : kind.encode(nextLease(now, { holderId: first, ttl: handOverTtl }), key)
  const next = isFreed
    ? { waiters: order, chainStartedAt: undefined }
    : {
        waiters: order.slice(1),
        chainStartedAt: sharedWithDex ? (chainStartedAt ?? chainStart(kind, queue, order.length, now)) : undefined
      }
  return {
    patch: {
      annotations: { ...kind.removal(holderId), ...lease, ...LockQueue.queuePatch(kind.key, queue, next) },
      labels: { ...noLabels, [LockQueue.labelKey(key)]: LockQueue.processIdOf(first) }
    },
    wakes: true,
    requeued,
    chainStartedAt
  }
}

// The queue stays on the object while the lock is left free, unless a Dex takes the lock and wipes it. Then the chain counts as begun
// earlier, so that it ends sooner.
const chainStart = ({ key }: LockKind, { annotations }: Queue, waiters: number, now: ServerTime): number => {
  const dexCame = !(LockQueue.queueKey(key) in annotations)
  const length = dexCame ? Math.min(maxHandOverChain, handOverChainAfterDex * waiters) : maxHandOverChain
  return Math.round(now.latest) - (maxHandOverChain - length)
}

/** Plans what an operator writes that breaks a lock, from the object as read. The first waiter gets it. */
export const planBreak = (
  found: Pick<ObjectSnapshot, "annotations" | "labels">,
  now: ServerTime,
  { kind, sharedWithDex }: Pick<ReleaseRequest, "kind" | "sharedWithDex">
): HandOverPlan["patch"] => {
  const state = lockState(kind.decode(found.annotations), now)
  const holderId = "holder" in state ? (state.holder ?? "") : ""
  const others = kind.otherKeys.filter((key) => key in found.annotations).map((key) => kind.removal("", key))
  const { patch } = planHandOver(found, now, { kind, holderId, requeue: undefined, sharedWithDex })
  return { ...patch, annotations: Object.assign({}, ...others, patch.annotations) }
}

/** The write that gives up a lease, from the object as last seen: on condition that lease and queue are as last seen. */
export const planRelease = (
  seen: Pick<ObjectSnapshot, "annotations" | "labels">,
  lease: Lease,
  now: ServerTime,
  request: ReleaseRequest
): { readonly write: AnnotationGuardedPatch; readonly plan: HandOverPlan } => {
  const { kind } = request
  const queue = queueOf(kind, seen.annotations)
  const plan = planIn(queue, seen.labels, now, request)
  const hasQueue = Object.keys(queue.annotations).length > 0
  return {
    write: {
      expect: {
        annotations: { ...kind.encode(lease), ...(hasQueue ? LockQueue.precondition(kind.key, queue) : {}) },
        ...(plan.patch.labels === undefined ? {} : { hasLabels: Object.keys(seen.labels).length > 0 })
      },
      ...plan.patch
    },
    plan
  }
}

/**
 * The write that gives up a lease and hands it over to nobody, in case a rule of the cluster refuses what a hand-over adds to the
 * object. The waiters find the free lock within the second after which they look in any case.
 */
export const planPlainRelease = (
  lease: Lease,
  { holderId, kind }: ReleaseRequest
): { readonly write: AnnotationGuardedPatch; readonly plan: HandOverPlan } => {
  const annotations = kind.removal(holderId)
  return {
    write: { expect: { annotations: kind.encode(lease) }, annotations },
    plan: { patch: { annotations }, wakes: false, requeued: false, chainStartedAt: undefined }
  }
}

/** Reads the queue of a lock of this kind. */
export const queueOf = (kind: LockKind, annotations: ObjectSnapshot["annotations"]): Queue =>
  LockQueue.fromAnnotations(kind.key, annotations, kind.otherKeys)

const leaseFrom = (holderId: string, { expiry, permits, place, session }: RecordedLease): Lease => ({
  holderId,
  expiry,
  ...(session === undefined ? {} : { session }),
  ...(permits === undefined ? {} : { permits }),
  ...(place === undefined ? {} : { place })
})

const ownIn = (leases: ReadonlyArray<RecordedLease>, holderId: string): RecordedLease | undefined =>
  leases.find((lease) => lease.holderId === holderId && lease.key === undefined)

const isLive = ({ expiresAt, session }: RecordedLease, now: ServerTime, sessions = noSessions): boolean =>
  now.earliest <= expiresAt && (session === undefined || !sessions.hasEnded(session))

const isLeftOver = ({ holderId, session }: RecordedLease, contender: Contender): boolean =>
  session !== undefined &&
  holderId !== undefined &&
  holderId !== contender.holderId &&
  LockQueue.processIdOf(holderId) === LockQueue.processIdOf(contender.holderId) &&
  session === contender.sessions?.current()

const infoOf = ({ expiry, holderId, key, peer }: RecordedLease): HolderInfo => {
  const holder = holderId ?? peer
  return { expiry, ...(holder === undefined ? {} : { holder }), ...(key === undefined ? {} : { key }) }
}
