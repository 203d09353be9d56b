/** The API server works on a write to a lock or to a Lease, and the write is judged. */
import * as leaseSpec from "../../../src/internal/election/leaseSpec.ts"
import * as rfc3339 from "../../../src/internal/time/rfc3339.ts"
import * as sessionLease from "../../../src/internal/session/sessionLease.ts"
import type { ObjectSnapshot } from "../../../src/ObjectStore.ts"
import { leaseOf as recordedIn } from "../../../src/LockRecord.ts"
import { millis } from "../time.ts"
import { applied, next } from "../permits/server.ts"
import { kind, parse } from "./library.ts"
import {
  foreign,
  leaseOf,
  type LeaseRequest,
  type LockRequest,
  processOf,
  type Request,
  withProcess,
  type World
} from "./world.ts"

/** What comes of a write: the object after it if it was applied, and what it violates. */
export interface Served {
  readonly world: World
  readonly written: ObjectSnapshot | undefined
  readonly violation?: string | undefined
}

/** The place of an operator, which is no process of the world. */
export const operator = -1

/** Works on a request of this process. */
export const serve = (world: World, request: Request, index: number): Served =>
  request.to === "lock" ? serveLock(world, request, index) : serveLease(world, request, index)

/** An operator deletes a Lease. The owner of its session cannot know before it next looks. */
export const remove = (world: World, lease: number): World => {
  const { incarnation, uid } = heldIn(world, lease) ?? {}
  const removed = { ...world, leases: world.leases.with(lease, undefined) }
  if (incarnation === undefined) return removed
  const owner = processOf(incarnation)
  const { session } = world.processes[owner]!
  const ended = { ...removed, fenced: [...world.fenced, textOf(lease, uid!, incarnation)] }
  const isIts = session.lease === lease && session.hold?.snapshot.uid === uid
  return isIts ? withProcess(ended, owner, { session: { ...session, isRobbed: true } }) : ended
}

const heldIn = ({ leases }: World, lease: number) => {
  const found = leases[lease]
  const incarnation = found && leaseSpec.holderOf(leaseSpec.fromContent(found.content))
  return incarnation === undefined ? undefined : { incarnation, uid: found!.uid }
}

const textOf = (lease: number, uid: string, incarnation: string): string =>
  sessionLease.format({ namespace: "jobs", name: leaseOf(lease), uid, incarnation })

/** Whether the server would still let the owner of a session renew it. */
const isStanding = (world: World, text: string): boolean => {
  const { lease, reference } = parse(text)
  const held = heldIn(world, lease)
  return held?.incarnation === reference.incarnation && held.uid === reference.uid
}

const serveLease = (world: World, request: LeaseRequest, index: number): Served => {
  const { index: number } = request
  const before = world.leases[number]
  if ("created" in request) {
    if (before !== undefined) return { world, written: undefined }
    const made = world.made[number]! + 1
    const { annotations, created } = request
    // Versions are never used twice.
    const resourceVersion = String(100 * made)
    const written = { uid: `u${number}-${made}`, resourceVersion, annotations, labels: {}, content: created }
    return judgedLease({ ...world, made: world.made.with(number, made) }, number, written, index)
  }
  const after = before && applied(before, request.write)
  if (after === undefined) return { world, written: undefined }
  const fields = (request.write.content ?? []).map(({ path, value }) => [path[1]!, value] as const)
  const spec = { ...(before!.content?.["spec"] as object), ...Object.fromEntries(fields) }
  return judgedLease(world, number, next({ ...after, content: { spec } }), index)
}

const judgedLease = (world: World, number: number, written: ObjectSnapshot, index: number): Served => {
  const was = heldIn(world, number)
  const changed = { ...world, leases: world.leases.with(number, written) }
  const is = heldIn(changed, number)
  if (is !== undefined && changed.fenced.includes(textOf(number, is.uid, is.incarnation))) {
    return { world: changed, written, violation: "a session that was fenced was renewed" }
  }
  if (was === undefined || was.incarnation === is?.incarnation) return { world: changed, written }
  const ended = { ...changed, fenced: [...changed.fenced, textOf(number, was.uid, was.incarnation)] }
  const isOwn = processOf(was.incarnation) === index
  const spec = leaseSpec.fromContent(world.leases[number]!.content)
  const end = rfc3339.parse(leaseSpec.ownLease(spec)?.expiry ?? "")?.seconds ?? 0
  return isOwn || millis(world.tick) > end * 1000
    ? { world: ended, written }
    : { world: ended, written, violation: "a session was fenced that had not expired" }
}

const serveLock = (world: World, request: LockRequest, index: number): Served => {
  const object = world.objects[request.index]!
  const after = applied(object, request.write)
  if (after === undefined) return { world, written: undefined }
  if (JSON.stringify(after) === JSON.stringify(object)) return { world, written: object }
  const written = next(after)
  const changed = { ...world, objects: world.objects.with(request.index, written) }
  return { world: changed, written, violation: judgeLock(world, object, written, index) }
}

const judgeLock = (world: World, before: ObjectSnapshot, after: ObjectSnapshot, index: number): string | undefined => {
  if (after.annotations[foreign] !== before.annotations[foreign]) return "what others wrote on the object is gone"
  const [was, is] = [before, after].map(({ annotations }) => recordedIn(kind.decode(annotations)))
  if (was?.holderId === undefined || processOf(was.holderId) === index) return undefined
  if (is?.holderId === was.holderId) {
    return is.expiry === was.expiry && is.session === was.session ? undefined : "a process changed the lease of another"
  }
  if (was.session !== undefined) {
    // Whether its holder still relied on it is judged with the state.
    if (index === operator) return undefined
    return isStanding(world, was.session) ? "a lock was taken from a session that was not fenced" : undefined
  }
  return millis(world.tick) > was.expiresAt ? undefined : "a lock was taken before its lease had expired"
}
