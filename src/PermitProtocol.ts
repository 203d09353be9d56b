/**
 * The rules of a lock with permits: what a line means at a given time, what a contender does about it, and what a holder writes when
 * it gives permits up. Pure.
 *
 * **Details**
 *
 * - A contender that cannot have its permits at once adds a lease to the line. It holds its permits as soon as they fit, without a
 *   write of its own: whoever makes room for it does not even know. It keeps its lease while it waits.
 * - A release removes one lease, or lowers its permits. Its condition is that lease alone, so releases and joins never refuse each
 *   other, however many come at once.
 * - The waiters that come next are written down as turns. A release has the server move them forward, and name the first in the label:
 *   so whoever is next is woken, whatever the releaser knew. The answer shows the line as it is, and a second write corrects what is
 *   wrong. Turns and the label are advice.
 */
import * as waking from "./internal/permitWaking.ts"
import type { LockKind } from "./LockKind.ts"
import type * as LockProtocol from "./LockProtocol.ts"
import { type Contender, type HolderInfo, nextLease, minClaim } from "./LockProtocol.ts"
import * as LockQueue from "./LockQueue.ts"
import { fromAnnotations as fromExclusive, type Lease, type LockRecord } from "./LockRecord.ts"
import type {
  AnnotationGuardedPatch,
  ConditionalPatch,
  MetadataPatch,
  ObjectSnapshot,
  ServerTime
} from "./ObjectStore.ts"
import * as PermitRecord from "./PermitRecord.ts"
import type { Permits, PermitLease, Placed } from "./PermitRecord.ts"

export { fewest, nobody, several, turnKey, turns } from "./internal/permitWaking.ts"

/** A kind of lock with permits. */
export interface PermitKind extends LockKind {
  /** What its permits are. */
  readonly permits: Permits
}

/** Whether a lock of this kind has permits. */
export const hasPermits = (kind: LockKind): kind is PermitKind => kind.permits !== undefined

/** A waiter writes its lease anew when this part of the TTL has passed, as a holder does by default. */
export const keepAfter = 1 / 3

type Seen = Pick<ObjectSnapshot, "annotations" | "labels" | "resourceVersion">

/** What a contender does next. `Keep`: it writes its place in the line anew, and waits on. */
export type Decision = LockProtocol.Decision | Keep

/** A contender that writes its place anew. */
export interface Keep {
  /** What tells it from other decisions. */
  readonly _tag: "Keep"
  /** The write. */
  readonly write: AnnotationGuardedPatch
  /** The holder whose lease ends first. */
  readonly seen: Partial<HolderInfo>
}

/** A contender that asks for permits. */
export type Asking = Contender & { readonly kind: PermitKind }

/**
 * Decides for a contender.
 *
 * - If its permits are free and nobody waits, it takes them. It removes leases that have expired.
 * - If it is in the line and holds as many permits as it needs, it claims them.
 * - If it is in the line and does not, it waits. It keeps its own lease, and removes those before it that have expired.
 * - Otherwise it waits, and may join the line.
 */
export const decide = (seen: Seen, now: ServerTime, contender: Asking): Decision => {
  const { holderId, kind } = contender
  const record = kind.decode(seen.annotations)
  const leftOver = leftOverIn(record, seen, now)
  if (record._tag === "Malformed" && leftOver === undefined) {
    return { _tag: "Malformed", key: record.key, value: record.value }
  }
  const line = PermitRecord.placed(record)
  const own = line.find((lease) => lease.holderId === holderId)
  return own === undefined
    ? decideOutside(seen, line, leftOver ?? {}, now, contender)
    : decideInside(seen, line, own, now, contender)
}

/** How many of its permits a contender needs, and how many it asks for. */
const askedBy = ({ asks }: Contender) => asks ?? { permits: 1, needs: 1 }

const decideInside = (
  seen: Seen,
  line: ReadonlyArray<Placed>,
  own: Placed,
  now: ServerTime,
  contender: Asking
): Decision => {
  const { kind, renews, ttl } = contender
  const { limit } = kind.permits
  if (own.granted >= askedBy(contender).needs) {
    const validFor = Math.min(own.expiresAt - now.latest, ttl)
    const over = leaseOf(own)
    return renews && validFor >= minClaim
      ? { _tag: "Claim", lease: over, validFor }
      : { _tag: "Rewrite", lease: renewed(over, now, contender), over }
  }
  const before = line.slice(0, line.indexOf(own))
  const dead = before.filter((lease) => hasExpired(lease, now))
  const keepAt = own.expiresAt - ttl * (1 - keepAfter)
  const holder = earliest(before)
  if (dead.length > 0 || now.latest >= keepAt) {
    const left = line.filter((lease) => !dead.includes(lease))
    const woken = grown(line, PermitRecord.grant(limit, left)).filter((lease) => lease.holderId !== own.holderId)
    const { expect, patch } = waking.labelling(kind, seen, woken)
    return {
      _tag: "Keep",
      seen: infoOf(holder),
      write: {
        expect: {
          annotations: Object.assign({}, ...[own, ...dead].map((lease) => kind.encode(leaseOf(lease)))),
          ...expect
        },
        annotations: {
          ...kind.encode(renewed(leaseOf(own), now, contender)),
          ...Object.assign({}, ...dead.map((lease) => kind.removal(lease.holderId)))
        },
        ...patch
      }
    }
  }
  return {
    _tag: "Wait",
    seen: infoOf(holder),
    until: Math.min(keepAt, holder?.expiresAt ?? keepAt),
    position: before.filter(isWaiting).length,
    canJoin: false,
    isFull: false,
    keepsPlace: true
  }
}

const decideOutside = (
  seen: Seen,
  line: ReadonlyArray<Placed>,
  leftOver: MetadataPatch,
  now: ServerTime,
  contender: Asking
): Decision => {
  const { kind } = contender
  const { limit } = kind.permits
  const asks = askedBy(contender)
  const dead = line.filter((lease) => hasExpired(lease, now))
  const living = PermitRecord.grant(
    limit,
    line.filter((lease) => !dead.includes(lease))
  )
  if (!living.some(isWaiting) && PermitRecord.free(limit, living) >= asks.needs) {
    const lease = firstLease(now, contender, seen.resourceVersion)
    return {
      _tag: "Acquire",
      lease,
      patch: {
        ...leftOver,
        ...Object.assign({}, ...dead.map((lease) => kind.removal(lease.holderId))),
        ...taking(kind, lease)
      },
      labels: {
        [LockQueue.labelKey(kind.key)]: LockQueue.processIdOf(contender.holderId),
        ...waking.labelling(kind, seen, grown(line, living)).patch.labels
      },
      tookOverFrom: dead[0] === undefined ? undefined : { expiry: dead[0].expiry, holder: dead[0].holderId }
    }
  }
  const holder = earliest(line)
  const isFull = living.filter(isWaiting).length >= LockQueue.capacity
  return {
    _tag: "Wait",
    seen: infoOf(holder),
    until: holder?.expiresAt ?? now.latest,
    position: undefined,
    canJoin: !isFull,
    isFull
  }
}

/** The first lease of a contender, at this place. */
export const firstLease = (now: ServerTime, contender: Asking, place: string): PermitLease => ({
  ...nextLease(now, contender),
  permits: askedBy(contender).permits,
  place
})

/** The annotations of a lease on an object that nobody else holds or waits for. */
export const taking = (kind: PermitKind, lease: Lease): Readonly<Record<string, string>> => ({
  [kind.key]: kind.permits.mark,
  ...kind.encode(lease)
})

/**
 * The write with which a contender joins the line, on condition that the line is still there, and that the contender is not in it. An
 * earlier join without an answer may arrive at any time. It must not change the place of a lease that holds permits.
 *
 * If somebody has deleted the mark of the line that was `seen`, the write restores it, on condition that nothing else has changed.
 */
export const join = (now: ServerTime, contender: Asking, seen: Seen | undefined): ConditionalPatch => {
  const { kind } = contender
  if (seen !== undefined && !(kind.key in seen.annotations) && PermitRecord.isInUse(kind.key, seen.annotations)) {
    const { resourceVersion } = seen
    return { expect: { resourceVersion }, annotations: taking(kind, firstLease(now, contender, resourceVersion)) }
  }
  const { expect, ...added } = adding(kind, { ...nextLease(now, contender), permits: askedBy(contender).permits })
  return { expect: { annotations: { [kind.key]: kind.permits.mark, ...expect } }, ...added }
}

const adding = ({ key, permits }: PermitKind, lease: Omit<PermitLease, "place">) => {
  const own = PermitRecord.leaseKey(key, lease.holderId)
  return {
    expect: { [own]: false },
    annotations: { [own]: PermitRecord.textOf(permits, lease) },
    stamps: [PermitRecord.placeKey(key, lease.holderId)]
  }
}

/** Whether others wait for permits. */
export const isAwaited = (kind: PermitKind, annotations: ObjectSnapshot["annotations"], holderId: string): boolean =>
  PermitRecord.placed(kind.decode(annotations)).some((lease) => isWaiting(lease) && lease.holderId !== holderId)

/** A release of permits. */
export interface Leaving {
  /** How many permits the lease keeps; 0 if it is removed. */
  readonly keeps: number
  /**
   * The waiter of the same process that joins the line with the same write, and what it asks for. Its TTL is in
   * milliseconds.
   */
  readonly again: { readonly holderId: string; readonly permits: number; readonly ttl: number } | undefined
  /** How many waiters to reckon with that others let in since the object was last seen. */
  readonly passed: number
  /** Whether others let waiters in so fast that what is written of their turns is outdated at once. */
  readonly isHurried?: boolean
}

/** A release that was planned: the write, and what it takes to read its answer. */
export interface LeavePlan {
  /** The write. */
  readonly write: ConditionalPatch
  /** The write instead if the first one is refused. */
  readonly otherwise: ConditionalPatch | undefined
  /** The lease that is released. */
  readonly lease: PermitLease
  /** What was asked for. */
  readonly leaving: Leaving
  /** The waiters as last seen, in order. */
  readonly waiters: ReadonlyArray<string>
}

/**
 * Plans a release, from the object as last seen.
 *
 * A holder that knows of nobody else leaves nothing on the object, on condition that nothing has changed. If something has, it releases
 * its own lease alone.
 */
export const planLeave = (
  kind: PermitKind,
  seen: Seen,
  lease: PermitLease,
  now: ServerTime,
  leaving: Leaving
): LeavePlan => {
  const { again, keeps, passed } = leaving
  const line = PermitRecord.placed(kind.decode(seen.annotations))
  const others = line.filter(({ holderId }) => holderId !== lease.holderId)
  const waiters = others.filter(isWaiting)
  const woken = wokenBy(kind, line, lease, keeps, waiters.slice(passed))
  const labels = woken.length > 0 ? waking.labelling(kind, seen, woken) : waking.quieting(kind, seen)
  const own = PermitRecord.leaseKey(kind.key, lease.holderId)
  const added = again === undefined ? undefined : adding(kind, { ...nextLease(now, again), permits: again.permits })
  const freed = Math.min(lease.permits, line.find(({ holderId }) => holderId === lease.holderId)?.granted ?? 0) - keeps
  // Where turns cannot be written down in time, they serve for as long as they go on by themselves.
  const last = !outdatesTurns(leaving) || waking.turnsOf(kind, seen, waiters) > passed
  const usesTurns = waiters.length >= fewestFor(leaving) && freed > 0 && waking.hasTurns(kind, seen) && last
  const { expect, patch } = usesTurns ? waking.takingTurns(kind, freed, waiters.length, again) : labels
  const write: ConditionalPatch = {
    expect: { annotations: { ...kind.encode(lease), ...added?.expect }, ...expect },
    ...patch,
    annotations: {
      ...patch.annotations,
      ...(keeps > 0
        ? { [own]: PermitRecord.textOf(kind.permits, { ...lease, permits: keeps }) }
        : { ...kind.removal(lease.holderId), ...added?.annotations })
    },
    ...(added?.stamps === undefined ? {} : { stamps: added.stamps })
  }
  const plan = { lease, leaving, waiters: waiters.map(({ holderId }) => holderId) }
  if (others.length > 0 || again !== undefined || keeps > 0) return { ...plan, write, otherwise: undefined }
  const { annotations, labels: left } = leavings(kind, seen)
  return {
    ...plan,
    otherwise: write,
    write: {
      expect: { resourceVersion: seen.resourceVersion },
      annotations: { ...annotations, ...kind.removal(lease.holderId) },
      ...left
    }
  }
}

const fewestFor = ({ again }: Leaving): number => (again === undefined ? waking.fewest : 1)

// What is left on the object when nobody is in the line any more.
const leavings = (
  { key }: PermitKind,
  { annotations, labels }: Pick<Seen, "annotations" | "labels">
): { readonly annotations: MetadataPatch; readonly labels: { readonly labels?: MetadataPatch } } => {
  const label = LockQueue.labelKey(key)
  const names = [key, ...waking.turnKeys(key).filter((name) => name in annotations)]
  return {
    annotations: Object.fromEntries(names.map((name) => [name, null])),
    labels: label in labels ? { labels: { [label]: null } } : {}
  }
}

// Exactly, if nobody else was let in meanwhile. Otherwise the first of the waiters that are left, as many as the permits suffice for.
const wokenBy = (
  { permits: { limit } }: PermitKind,
  line: ReadonlyArray<Placed>,
  lease: PermitLease,
  keeps: number,
  waiters: ReadonlyArray<Placed>
): ReadonlyArray<Placed> => {
  const known = line.filter(isWaiting).filter(({ holderId }) => holderId !== lease.holderId)
  if (known.length === waiters.length) {
    const rest = line.filter(({ holderId }) => holderId !== lease.holderId)
    const after =
      keeps > 0 ? PermitRecord.withLease(limit, rest, { ...lease, permits: keeps }) : PermitRecord.grant(limit, rest)
    return grown(line, after)
  }
  let left = lease.permits - keeps
  return waiters.filter(({ permits }) => {
    const isIn = left > 0
    left -= permits
    return isIn
  })
}

/** What the answer to a release shows. */
export interface Answered {
  /** The write that must follow, if there is one. */
  readonly write: ConditionalPatch | undefined
  /** The write instead if that one is refused. */
  readonly otherwise: ConditionalPatch | undefined
  /** How many others were let in before the waiters that the release let in, if that can be told. */
  readonly passed: number | undefined
}

/**
 * Reads the answer to a release.
 *
 * If it let in a waiter that it did not wake, that one must be woken. If the waiters that come next are not written down, or hardly any
 * of them, they are written down. If nobody is in the line, what is left is removed.
 */
export const readAnswer = (
  kind: PermitKind,
  { lease, leaving, waiters }: Pick<LeavePlan, "lease" | "leaving" | "waiters">,
  snapshot: Seen
): Answered => {
  const { limit } = kind.permits
  const line = PermitRecord.placed(kind.decode(snapshot.annotations))
  const isOwn = ({ holderId }: Placed) => holderId === lease.holderId || holderId === leaving.again?.holderId
  const rest = line.filter((placed) => !isOwn(placed))
  const letIn = grown(PermitRecord.withLease(limit, rest, lease), line).filter(
    // A writer has no use for some of its permits.
    (placed) => !isOwn(placed) && !(kind.permits.shares && isWaiting(placed))
  )
  const label = snapshot.labels[LockQueue.labelKey(kind.key)]
  const missed = letIn.filter(({ holderId }) => label !== waking.several && label !== LockQueue.processIdOf(holderId))
  const first = letIn[0] === undefined ? -1 : waiters.indexOf(letIn[0].holderId)
  const passed = first >= 0 ? first : letIn.length > 0 ? waiters.length : undefined
  if (line.length === 0) return { write: tidy(kind, snapshot), otherwise: undefined, passed }
  const wakes = missed.length > 0 ? wake(kind, snapshot, missed) : undefined
  const next = outdatesTurns(leaving)
    ? undefined
    : waking.newTurns(kind, snapshot, line.filter(isWaiting), fewestFor(leaving))
  if (next === undefined) return { write: wakes, otherwise: undefined, passed }
  return {
    write: {
      ...wakes,
      expect: { ...wakes?.expect, annotations: { ...wakes?.expect.annotations, ...next.expect } },
      annotations: next.annotations
    },
    otherwise: wakes,
    passed
  }
}

// Where those that leave wait again, turns go on by themselves once they are right, however fast.
const outdatesTurns = ({ again, isHurried }: Leaving): boolean => isHurried === true && again === undefined

/** The write that wakes waiters which were let in, on condition that the line is still there. */
export const wake = (
  kind: PermitKind,
  seen: Pick<ObjectSnapshot, "labels">,
  woken: ReadonlyArray<Placed>
): AnnotationGuardedPatch => {
  const { expect, patch } = waking.labelling(kind, seen, woken)
  return { expect: { annotations: { [kind.key]: kind.permits.mark }, ...expect }, annotations: {}, ...patch }
}

/** The write that removes what an empty line leaves behind; `undefined` if that is nothing. */
export const tidy = (kind: PermitKind, seen: Seen): ConditionalPatch | undefined => {
  const { annotations, labels } = leavings(kind, seen)
  return kind.key in seen.annotations
    ? { expect: { resourceVersion: seen.resourceVersion }, annotations, ...labels }
    : undefined
}

/** The release of a lease and nothing else, in case a rule of the cluster refuses a label. */
export const plainLeave = (kind: PermitKind, { lease, leaving }: LeavePlan): AnnotationGuardedPatch => ({
  expect: { annotations: kind.encode(lease) },
  annotations:
    leaving.keeps > 0
      ? {
          [PermitRecord.leaseKey(kind.key, lease.holderId)]: PermitRecord.textOf(kind.permits, {
            ...lease,
            permits: leaving.keeps
          })
        }
      : kind.removal(lease.holderId)
})

/** The write that removes the lease of any holder, if it is there: an operator's last resort. It wakes those that it lets in. */
export const planBreak = (kind: PermitKind, seen: Seen, holderId: string): ConditionalPatch | undefined => {
  const line = PermitRecord.placed(kind.decode(seen.annotations))
  const lease = line.find((lease) => lease.holderId === holderId)
  if (lease === undefined) return undefined
  const after = PermitRecord.grant(
    kind.permits.limit,
    line.filter((other) => other !== lease)
  )
  const { patch } = waking.labelling(kind, seen, grown(line, after))
  return {
    expect: { resourceVersion: seen.resourceVersion },
    annotations: { ...kind.removal(holderId), ...(after.length === 0 ? leavings(kind, seen).annotations : {}) },
    ...patch
  }
}

/** A contender in a line, as others see it. */
export interface InLine {
  /** Its holder ID. */
  readonly holder: string
  /** How many permits it asks for. */
  readonly permits: number
  /** How many of them it has. */
  readonly granted: number
  /** When its lease expires (RFC 3339), as written. */
  readonly expiry: string
  /** Whether that is past: then it is most likely gone. */
  readonly isExpired: boolean
}

/** A line, as others see it. */
export interface Line {
  /** Those that have all their permits, in order. */
  readonly holders: ReadonlyArray<InLine>
  /** Those that wait, in order. */
  readonly waiters: ReadonlyArray<InLine>
}

/** A line with nobody in it. */
export const emptyLine: Line = { holders: [], waiters: [] }

/** Tells who is in a line. */
export const inspect = (kind: PermitKind, { annotations }: Pick<Seen, "annotations">, now: ServerTime): Line => {
  const line = PermitRecord.placed(kind.decode(annotations))
  const inLine = (lease: Placed): InLine => ({
    holder: lease.holderId,
    permits: lease.permits,
    granted: lease.granted,
    expiry: lease.expiry,
    isExpired: hasExpired(lease, now)
  })
  return {
    holders: line.filter((lease) => !isWaiting(lease)).map(inLine),
    waiters: line.filter(isWaiting).map(inLine)
  }
}

/** The leases that hold more after a write than before. */
const grown = (before: ReadonlyArray<Placed>, after: ReadonlyArray<Placed>): ReadonlyArray<Placed> =>
  after.filter(({ granted, holderId }) => granted > (before.find((lease) => lease.holderId === holderId)?.granted ?? 0))

/** Whether a lease waits for permits. */
export const isWaiting = ({ granted, permits }: Placed): boolean => granted < permits

const hasExpired = ({ expiresAt }: Pick<Placed, "expiresAt">, now: ServerTime): boolean => now.earliest > expiresAt

const earliest = (line: ReadonlyArray<Placed>): Placed | undefined =>
  line.reduce<Placed | undefined>(
    (first, lease) => (first === undefined || lease.expiresAt < first.expiresAt ? lease : first),
    undefined
  )

const infoOf = (lease: Placed | undefined): Partial<HolderInfo> =>
  lease === undefined ? {} : { expiry: lease.expiry, holder: lease.holderId }

const leaseOf = ({ expiry, holderId, permits, place }: Placed): PermitLease => ({ holderId, permits, place, expiry })

const renewed = (lease: PermitLease, now: ServerTime, contender: Asking): PermitLease => ({
  ...lease,
  ...nextLease(now, contender, lease.expiry)
})

/**
 * The patch that removes what is in nobody's way, since it has expired: an exclusive lock, or the whole line of a lock with other permits.
 * `undefined` if the record is that of the kind of lock that read it, or if anything in it has not expired.
 */
export const leftOverIn = (
  record: LockRecord,
  { annotations }: Pick<Seen, "annotations">,
  now: ServerTime
): MetadataPatch | undefined => {
  if (record._tag !== "Malformed") return undefined
  const { key, value } = record
  const permits = PermitRecord.permitsOf(value)
  const { leases } =
    permits === undefined ? fromExclusive(key, annotations) : PermitRecord.fromAnnotations(key, permits, annotations)
  const isOver = (permits !== undefined || leases.length > 0) && leases.every((lease) => hasExpired(lease, now))
  if (!isOver) return undefined
  return permits === undefined
    ? PermitRecord.removalOfExclusive(key, annotations)
    : PermitRecord.removalOfLine(key, annotations)
}
