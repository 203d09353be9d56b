/**
 * The record of an election: `spec` of a Lease as client-go writes it, and the lease of a lock that it stands for. Pure.
 *
 * A lock's record is two annotations. The functions here translate between them and the fields of the spec, so that one engine
 * serves locks and elections.
 */
import * as Predicate from "effect/Predicate"
import { holderKey, type Lease, leaseNamed } from "../../LockRecord.ts"
import * as LockQueue from "../../LockQueue.ts"
import type { Content, FieldPatch, MetadataPatch } from "../../ObjectStore.ts"
import * as PermitRecord from "../../PermitRecord.ts"
import * as ClockReading from "../time/clockReading.ts"
import * as rfc3339 from "../time/rfc3339.ts"

/** The fields that client-go reads and writes. What is absent, or of another type, is `undefined`. */
export interface LeaseSpec {
  readonly holderIdentity: string | undefined
  readonly leaseDurationSeconds: number | undefined
  readonly acquireTime: string | undefined
  readonly renewTime: string | undefined
  readonly leaseTransitions: number | undefined
}

/** Reads the spec of a Lease. */
export const fromContent = (content: Content | undefined): LeaseSpec => {
  const spec = content?.["spec"]
  const fields: { readonly [name: string]: unknown } = Predicate.isObject(spec) ? spec : {}
  const text = (name: string) => (Predicate.isString(fields[name]) ? fields[name] : undefined)
  const number = (name: string) => (Predicate.isNumber(fields[name]) ? fields[name] : undefined)
  return {
    holderIdentity: text("holderIdentity"),
    leaseDurationSeconds: number("leaseDurationSeconds"),
    acquireTime: text("acquireTime"),
    renewTime: text("renewTime"),
    leaseTransitions: number("leaseTransitions")
  }
}

/** The holder of the Lease; `undefined` if there is none. An empty identity means none (client-go). */
export const holderOf = ({ holderIdentity }: LeaseSpec): string | undefined =>
  holderIdentity === "" ? undefined : holderIdentity

/**
 * The lease of a holder that is a kubelock, by its holder ID; `undefined` for any other holder. Its times are by the clock of the API
 * server, so anybody may judge it by that clock.
 */
export const ownLease = (spec: LeaseSpec): Lease | undefined => {
  const { holderIdentity = "", leaseDurationSeconds } = spec
  const end = endOf(spec)
  if (LockQueue.processIdOf(holderIdentity) === "" || end === undefined) return undefined
  if (leaseDurationSeconds === undefined || leaseDurationSeconds <= 0) return undefined
  return { holderId: holderIdentity, expiry: rfc3339.format(end) }
}

/** When the Lease ends by the times in it, in seconds since 1970; `undefined` if they do not tell. */
export const endOf = ({ leaseDurationSeconds = 0, renewTime }: LeaseSpec): number | undefined => {
  const renewed = renewTime === undefined ? undefined : rfc3339.parse(renewTime)
  return renewed && renewed.seconds + Math.ceil(renewed.nanos / 1e9) + leaseDurationSeconds
}

/** The holders of locks and permits whose records stand on the Lease, under whatever key. */
export const lockHolders = (annotations: Readonly<Record<string, string>>): ReadonlyArray<string> => [
  ...Object.entries(annotations).flatMap(([name, value]) => {
    if (!name.endsWith(holderKey(""))) return []
    const { expiry, holderId } = leaseNamed(value)
    return annotations[name.slice(0, -holderKey("").length)] === expiry ? [holderId] : []
  }),
  ...PermitRecord.holderIds(annotations)
]

/**
 * Whether the Lease is that of an election: it counts transitions, which locks do not and elections always do, or its holder is no
 * kubelock.
 */
export const isElections = (spec: LeaseSpec): boolean => spec.leaseTransitions !== undefined || isHeldByPeer(spec)

/** Whether a holder has the Lease that is no kubelock. */
export const isHeldByPeer = (spec: LeaseSpec): boolean =>
  holderOf(spec) !== undefined && LockQueue.processIdOf(spec.holderIdentity!) === ""

/** Fields of the spec, as a store writes them. */
export const fieldsIn = (spec: Content): ReadonlyArray<FieldPatch> =>
  Object.entries(spec).map(([name, value]) => ({ path: ["spec", name], value }))

/** The lease that a patch of a lock's annotations writes, or that it removes one; `undefined` if it does neither. */
export const leaseIn = (key: string, annotations: MetadataPatch): Lease | "Removed" | undefined => {
  const named = annotations[holderKey(key)]
  return named === null ? "Removed" : named === undefined ? undefined : leaseNamed(named)
}

/**
 * The fields that show a lease. `earliest` is the earliest that the server's clock can be (milliseconds).
 *
 * Others read no earlier expiry than the lease has: not those that add the duration to `renewTime`, nor client-go, which counts the
 * duration from when it sees the record change, on a clock that may be a little fast. So the duration is a second or two longer
 * than the one that was asked for.
 */
export const shown = ({ expiry, holderId }: Lease, isRenewal: boolean, earliest: number): Content => {
  const end = rfc3339.parse(expiry)?.seconds ?? 0
  const duration = Math.max(1, Math.ceil((end - earliest / 1000) * (1 + ClockReading.maxDrift)))
  const renewTime = rfc3339.formatMicros((end - duration) * 1000)
  const renewed = { holderIdentity: holderId, leaseDurationSeconds: duration, renewTime }
  return isRenewal ? renewed : { ...renewed, acquireTime: renewTime }
}

/** The fields that say that this lease holds, to be merged into the spec as it was; `undefined` for a new Lease. See `shown`. */
export const holding = (before: LeaseSpec | undefined, lease: Lease, earliest: number): Content => {
  const isRenewal = before?.holderIdentity === lease.holderId
  const fields = shown(lease, isRenewal, earliest)
  const leaseTransitions = before === undefined ? 0 : (before.leaseTransitions ?? 0) + 1
  return isRenewal ? fields : { ...fields, leaseTransitions }
}

/** The fields that say that nobody holds the Lease since this time (milliseconds since 1970), as client-go releases it. */
export const released = (at: number): Content => ({
  holderIdentity: "",
  leaseDurationSeconds: 1,
  acquireTime: rfc3339.formatMicros(at),
  renewTime: rfc3339.formatMicros(at)
})
