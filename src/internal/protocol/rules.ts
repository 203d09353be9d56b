/**
 * The rules of a kind of lock, as the machines ask for them: those of an exclusive lock (`LockProtocol`, `LockQueue`), or of a lock
 * with permits (`PermitProtocol`). Pure.
 */
import * as LockError from "../../LockError.ts"
import type { LockKind } from "../../LockKind.ts"
import * as LockProtocol from "../../LockProtocol.ts"
import * as LockQueue from "../../LockQueue.ts"
import type { Lease, LockRecord } from "../../LockRecord.ts"
import type {
  AnnotationGuardedPatch,
  ConditionalPatch,
  MetadataPatch,
  ObjectSnapshot,
  ServerTime
} from "../../ObjectStore.ts"
import * as PermitProtocol from "../../PermitProtocol.ts"
import * as PermitRecord from "../../PermitRecord.ts"

const isAsking = (contender: LockProtocol.Contender): contender is PermitProtocol.Asking =>
  PermitProtocol.hasPermits(contender.kind)

/** Decides for a contender, from an object. */
export const decide = (
  snapshot: ObjectSnapshot,
  now: ServerTime,
  contender: LockProtocol.Contender
): PermitProtocol.Decision => {
  if (isAsking(contender)) return PermitProtocol.decide(snapshot, now, contender)
  const { kind } = contender
  const record = kind.decode(snapshot.annotations)
  const left = withoutLeftOver(record, snapshot, now)
  const { annotations } = left ?? snapshot
  const decision = LockProtocol.decide(
    left === undefined ? record : kind.decode(annotations),
    LockProtocol.queueOf(kind, annotations),
    now,
    contender
  )
  return decision._tag === "Acquire" && left !== undefined
    ? { ...decision, patch: { ...left.leftOver, ...decision.patch } }
    : decision
}

// The object without the permits on it, all of which have expired; `undefined` if there are none.
const withoutLeftOver = (record: LockRecord, snapshot: ObjectSnapshot, now: ServerTime) => {
  const leftOver = PermitProtocol.leftOverIn(record, snapshot, now)
  if (leftOver === undefined) return undefined
  const others = Object.entries(snapshot.annotations).filter(([name]) => !(name in leftOver))
  return { ...snapshot, annotations: Object.fromEntries(others), leftOver }
}

/** What a contender writes to an object that nobody locks: its lease, and the annotations and labels. */
export interface Taking {
  readonly lease: Lease
  readonly annotations: Readonly<Record<string, string>>
  readonly labels?: MetadataPatch
}

/** Plans what a contender writes to an object that nobody locks, in this version. */
export const take = (now: ServerTime, contender: LockProtocol.Contender, resourceVersion: string): Taking => {
  const { holderId, kind } = contender
  if (!isAsking(contender)) {
    const lease = LockProtocol.newLease(now, contender)
    return { lease, annotations: kind.encode(lease) }
  }
  const lease = PermitProtocol.firstLease(now, contender, resourceVersion)
  return {
    lease,
    annotations: PermitProtocol.taking(contender.kind, lease),
    labels: { [LockQueue.labelKey(kind.key)]: LockQueue.processIdOf(holderId) }
  }
}

/**
 * The write with which a contender joins the queue. An exclusive lock must have a holder with a name, under the key of the lease that was
 * `seen`: nothing is written to an object that Dex has locked. `version` is that in which the contender first found the object, and
 * `lastSeen` the object as it found it last.
 */
export const join = (
  now: ServerTime,
  contender: LockProtocol.Contender,
  seen: Partial<LockProtocol.HolderInfo>,
  version: string,
  lastSeen: ObjectSnapshot | undefined
): ConditionalPatch => {
  if (isAsking(contender)) return PermitProtocol.join(now, contender, lastSeen)
  const { holderId, kind } = contender
  return {
    expect: { annotations: kind.held(seen.key) },
    annotations: LockQueue.joinPatch(kind.key, holderId, version)
  }
}

/** What an object is to the lock of this kind. */
export const usageOf = (
  snapshot: ObjectSnapshot,
  kind: LockKind,
  now: ServerTime,
  sharedWithDex: boolean
): LockProtocol.Usage => {
  const left = withoutLeftOver(kind.decode(snapshot.annotations), snapshot, now)
  return LockProtocol.usageOf(left ?? snapshot, kind, now, sharedWithDex)
}

/** How many others wait that a contender takes out of the queue which takes over from an expired holder. */
export const displacedBy = (
  { holderId, kind }: Pick<LockProtocol.Contender, "holderId" | "kind">,
  { annotations }: ObjectSnapshot
): number =>
  PermitProtocol.hasPermits(kind)
    ? 0
    : LockProtocol.queueOf(kind, annotations).waiters.filter((waiter) => waiter !== holderId).length

/** Whether others wait. */
export const isAwaited = (kind: LockKind, { annotations }: ObjectSnapshot, holderId: string): boolean =>
  PermitProtocol.hasPermits(kind)
    ? PermitProtocol.isAwaited(kind, annotations, holderId)
    : LockProtocol.queueOf(kind, annotations).waiters.length > 0

/** The error of a record that cannot be read, or that says that something else is locked than what was `wanted`. */
export const unreadable = (
  { id, object, wanted }: { readonly id: string; readonly object: string; readonly wanted: string },
  { key, value }: { readonly key: string; readonly value: string }
): LockError.Malformed | LockError.Mismatch => {
  const found = PermitRecord.describe(value)
  return found === undefined
    ? new LockError.Malformed({ id, object, key, value })
    : new LockError.Mismatch({ id, object, key, found, wanted })
}

/** What a kind of lock is called in errors. */
export const nameOf = ({ permits }: LockKind): string =>
  (permits === undefined ? undefined : PermitRecord.describe(permits.mark)) ?? "an exclusive lock"

/** What errors say of a kind of lock: nothing if it is a lock. */
export const whatOf = ({ what }: LockKind): { readonly what?: Exclude<LockKind["what"], "lock"> } =>
  what === "lock" ? {} : { what }

/** A release. `leaving` is what becomes of the permits, if the lock has any. */
export interface ReleaseRequest extends LockProtocol.ReleaseRequest {
  readonly leaving?: PermitProtocol.Leaving | undefined
}

/** What a releaser writes. `left` says it of permits. */
export interface ReleasePlan extends LockProtocol.HandOverPlan {
  readonly left?: PermitProtocol.LeavePlan | undefined
}

/** A write, and the plan that it is part of. */
export interface Planned {
  readonly write: ConditionalPatch
  readonly plan: ReleasePlan
}

const allPermits: PermitProtocol.Leaving = { keeps: 0, again: undefined, passed: 0 }

/** The write that gives up a lease, from the object as last seen. */
export const planRelease = (seen: ObjectSnapshot, lease: Lease, now: ServerTime, request: ReleaseRequest): Planned => {
  const { kind, leaving = allPermits } = request
  if (!PermitProtocol.hasPermits(kind)) return LockProtocol.planRelease(seen, lease, now, request)
  const left = PermitProtocol.planLeave(kind, seen, lease as PermitRecord.PermitLease, now, leaving)
  return plannedBy(left, left.write)
}

const plannedBy = (left: PermitProtocol.LeavePlan, write: ConditionalPatch): Planned => ({
  write,
  plan: {
    patch: { annotations: write.annotations },
    wakes: true,
    requeued: left.leaving.again !== undefined,
    chainStartedAt: undefined,
    left
  }
})

/** The write instead, if the write of a plan was refused and knows another one. */
export const planOtherwise = ({ left }: ReleasePlan): Planned | undefined =>
  left?.otherwise === undefined ? undefined : plannedBy({ ...left, otherwise: undefined }, left.otherwise)

/** The write that gives up a lease and nothing else, in case a rule of the cluster refuses the rest. */
export const planPlainRelease = (lease: Lease, request: ReleaseRequest, { left }: ReleasePlan): Planned => {
  const { kind } = request
  if (!PermitProtocol.hasPermits(kind) || left === undefined) return LockProtocol.planPlainRelease(lease, request)
  const write = PermitProtocol.plainLeave(kind, left)
  const leaving = { ...left.leaving, again: undefined }
  return plannedBy({ ...left, leaving, otherwise: undefined }, write)
}

/** Whether the answer to a release shows that it was applied. */
export const isReleased = (
  { holderId, kind }: Pick<ReleaseRequest, "holderId" | "kind">,
  { left }: ReleasePlan,
  { annotations }: ObjectSnapshot
): boolean => {
  const check = LockProtocol.verifyLease(kind.decode(annotations), holderId)
  return check._tag !== "Ours" || (left !== undefined && check.lease.permits === left.leaving.keeps)
}

/** The patch with which a waiter leaves the queue; `undefined` if it is not in the queue, or if its place is a lease. */
export const leavePatch = (
  kind: LockKind,
  { annotations }: ObjectSnapshot,
  holderId: string
): AnnotationGuardedPatch | undefined =>
  PermitProtocol.hasPermits(kind) ? undefined : LockQueue.leavePatch(kind.key, annotations, holderId)
