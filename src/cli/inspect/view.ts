/** What an object says about its lock, whatever the kind. Pure. */
import * as leaseSpec from "../../internal/election/leaseSpec.ts"
import * as sessionLease from "../../internal/session/sessionLease.ts"
import * as rfc3339 from "../../internal/time/rfc3339.ts"
import * as LockKind from "../../LockKind.ts"
import * as LockProtocol from "../../LockProtocol.ts"
import * as LockQueue from "../../LockQueue.ts"
import { idKey, managedBy, type ObjectSnapshot, type ServerTime } from "../../ObjectStore.ts"
import * as PermitProtocol from "../../PermitProtocol.ts"
import * as PermitRecord from "../../PermitRecord.ts"
import * as Resource from "../../Resource.ts"
import * as sessions from "./sessions.ts"

/**
 * A lock as people look at it.
 *
 * - `name`, `namespace`, `resource`: the object that it is kept on. `id`: the lock's id, if that is not the name.
 * - `state`: `Malformed` if the annotations cannot be read; `problem` says why. `Deleted` if the object is gone.
 * - `limit`: how many permits a semaphore has.
 * - `waiters`: the holder IDs of those that wait, the next first.
 */
export interface View {
  readonly name: string
  readonly namespace: string
  readonly resource: string
  readonly id?: string
  readonly kind: "lock" | "semaphore" | "shared lock" | "election" | "session"
  readonly state: "Free" | "Held" | "Expired" | "Malformed" | "Deleted"
  readonly limit?: number
  readonly holders: ReadonlyArray<Holder>
  readonly waiters: ReadonlyArray<string>
  readonly problem?: string
}

/**
 * A holder. `holder` is missing if it wrote no name, as Dex does. `expires` and `since` are in RFC 3339; `since` is missing where nothing
 * records it. `permits` are those of a semaphore, `mode` is that of a shared lock. `session` is the Lease of the session that holds the
 * lock. Then `expires` is when the session does, and missing if the session has ended, or if its Lease is not known.
 */
export interface Holder {
  readonly holder?: string
  readonly permits?: number
  readonly mode?: "shared" | "exclusive"
  readonly session?: string
  readonly since?: string
  readonly expires?: string
  readonly isExpired: boolean
}

/** An object, and where it is. */
export interface Found {
  readonly resource: Resource.Resource
  readonly namespace: string
  readonly name: string
  readonly snapshot: ObjectSnapshot
}

/** A lock whose object is gone. */
export const gone = ({ name, namespace, resource }: Found): View => ({
  name,
  namespace,
  resource: Resource.name(resource),
  kind: "lock",
  state: "Deleted",
  holders: [],
  waiters: []
})

/**
 * How objects are looked at.
 *
 * - `key`: the annotation of the locks, if it is not that of the resource.
 * - `now`: the time on the server.
 * - `sessions`: what is known of the Leases of sessions.
 */
export interface Light {
  readonly key: string | undefined
  readonly now: ServerTime
  readonly sessions: sessions.Sessions
}

/** The Leases among objects, as those of sessions. */
export const sessionsAmong = (found: Iterable<Found>): sessions.Sessions => {
  const leases = new Map<string, ObjectSnapshot>()
  for (const { name, namespace, resource, snapshot } of found) {
    if (isLease(resource)) leases.set(`${namespace}/${name}`, snapshot)
  }
  return ({ name, namespace }) => leases.get(`${namespace}/${name}`) ?? "Unknown"
}

/** All Leases of a namespace, or of the cluster, as those of sessions: what is not there is gone. */
export const allSessions = (leases: Iterable<Found>, namespace: string | undefined): sessions.Sessions => {
  const among = sessionsAmong(leases)
  return (session) => {
    const lease = among(session)
    const isElsewhere = namespace !== undefined && session.namespace !== namespace
    return lease === "Unknown" && !isElsewhere ? "Gone" : lease
  }
}

/** The session that holds the lock on an object. */
export const sessionOf = (
  { resource, snapshot: { annotations } }: Found,
  key: string | undefined
): sessionLease.SessionReference | undefined =>
  sessions.referenceIn(LockKind.exclusive(key ?? resource.annotation).decode(annotations))

/** The sessions that hold locks on objects. */
export const sessionsNamed = (
  found: ReadonlyArray<Found>,
  key: string | undefined
): ReadonlyArray<sessionLease.SessionReference> =>
  found.map((one) => sessionOf(one, key)).filter((session) => session !== undefined)

/** Whether a resource is that of Leases. */
export const isLease = (resource: Resource.Resource): boolean =>
  Resource.name(resource) === Resource.name(Resource.lease)

/** What an object says. */
export const of = (found: Found, light: Light): View => {
  const { key, now } = light
  const { name, namespace, resource, snapshot } = found
  const id = snapshot.annotations[idKey]
  const place = { name, namespace, resource: Resource.name(resource), ...(id === undefined ? {} : { id }) }
  if (isElection(found)) return { ...place, ...election(found, now) }
  const permits = permitsOn(snapshot, key)
  return { ...place, ...(permits === undefined ? exclusive(found, light) : inLine(snapshot, permits, now)) }
}

/** Whether an object is of interest: a lock made it, or a lock's annotation is on it, or it is the Lease of an election. */
export const isLock = (found: Found, key: string | undefined): boolean => {
  const { annotations, labels } = found.snapshot
  if (labels[managedBy.key] === managedBy.value || isElection(found)) return true
  const kind = LockKind.exclusive(key ?? found.resource.annotation)
  const names = [kind.key, ...kind.otherKeys]
  return Object.keys(annotations).some((name) => names.some((one) => name === one || name.startsWith(`${one}-`)))
}

type Said = Omit<View, "name" | "namespace" | "resource" | "id">

/** The annotation from which the names of the annotations of an election derive. */
export const leaderKey = "kubelock.dev/leader"

// Those of kubelets, and of API servers, are heartbeats.
const isElection = ({ resource, namespace, snapshot: { annotations, content, labels } }: Found): boolean => {
  if (!isLease(resource) || namespace === "kube-node-lease") return false
  if ("apiserver.kubernetes.io/identity" in labels || leaseSpec.lockHolders(annotations).length > 0) return false
  return leaseSpec.isElections(leaseSpec.fromContent(content))
}

const isSession = ({ name, snapshot: { labels } }: Found): boolean =>
  labels[managedBy.key] === managedBy.value && name.startsWith(`${sessionLease.namePrefix}-`)

const election = (found: Found, now: ServerTime): Said => {
  const { annotations, content } = found.snapshot
  const kind = isSession(found) ? "session" : "election"
  const spec = leaseSpec.fromContent(content)
  const holder = leaseSpec.holderOf(spec)
  const { waiters } = LockQueue.fromAnnotations(leaderKey, annotations)
  if (holder === undefined) return { kind, state: "Free", holders: [], waiters }
  const ends = leaseSpec.endOf(spec)
  const isExpired = ends !== undefined && now.earliest > ends * 1000
  const since = spec.acquireTime === undefined ? {} : { since: inSeconds(spec.acquireTime) }
  const expires = ends === undefined ? {} : { expires: rfc3339.format(ends) }
  return {
    kind,
    state: isExpired ? "Expired" : "Held",
    holders: [{ holder, ...since, ...expires, isExpired }],
    waiters
  }
}

const inSeconds = (time: string): string => {
  const instant = rfc3339.parse(time)
  return instant === undefined ? time : rfc3339.format(instant.seconds)
}

/** The kind of lock on an object, if it has permits. */
export const permitsOn = (
  { annotations }: ObjectSnapshot,
  key: string | undefined
): PermitProtocol.PermitKind | undefined => {
  const name = key ?? neutral
  const permits = PermitRecord.permitsOf(annotations[name] ?? "")
  return permits && (LockKind.withPermits(name, permits) as PermitProtocol.PermitKind)
}

const neutral = Resource.configMap.annotation

const inLine = (snapshot: ObjectSnapshot, kind: PermitProtocol.PermitKind, now: ServerTime): Said => {
  const { holders, waiters } = PermitProtocol.inspect(kind, snapshot, now)
  const { limit, shares } = kind.permits
  const holderOf = ({ expiry, holder, isExpired, permits }: PermitProtocol.InLine): Holder => ({
    holder,
    ...(shares ? { mode: permits === 1 ? ("shared" as const) : ("exclusive" as const) } : { permits }),
    expires: expiry,
    isExpired
  })
  return {
    kind: shares ? "shared lock" : "semaphore",
    state: holders.length === 0 ? "Free" : holders.every(({ isExpired }) => isExpired) ? "Expired" : "Held",
    ...(shares ? {} : { limit }),
    holders: holders.map(holderOf),
    waiters: waiters.map(({ holder }) => holder)
  }
}

const exclusive = (
  { resource, snapshot: { annotations, content } }: Found,
  { key, now, sessions: known }: Light
): Said => {
  const kind = LockKind.exclusive(key ?? resource.annotation)
  const record = kind.decode(annotations)
  const session = sessions.seenAt(record, known, now)
  const state = LockProtocol.lockState(record, now, {
    current: () => undefined,
    hasEnded: () => session?.isOver === true
  })
  const { waiters } = LockProtocol.queueOf(kind, annotations)
  const said = { kind: "lock" as const, state: state._tag, waiters }
  switch (state._tag) {
    case "Free":
      return { ...said, holders: [] }
    case "Malformed":
      return { ...said, holders: [], problem: `${state.key} is not an RFC 3339 time: ${JSON.stringify(state.value)}` }
    case "Held":
    case "Expired": {
      const spec = leaseSpec.fromContent(content)
      const isShown =
        state.holder !== undefined && spec.holderIdentity === state.holder && spec.acquireTime !== undefined
      return {
        ...said,
        holders: [
          {
            ...(state.holder === undefined ? {} : { holder: state.holder }),
            ...(isShown ? { since: inSeconds(spec.acquireTime) } : {}),
            ...expiryOf(session, state.expiry),
            isExpired: state._tag === "Expired"
          }
        ]
      }
    }
  }
}

// The record of a lock under a session expires in a day. It is the session that counts.
const expiryOf = (session: sessions.Seen | undefined, expiry: string): Pick<Holder, "expires" | "session"> => {
  if (session === undefined) return { expires: expiry }
  const { expires, name } = session
  return { session: name, ...(expires === undefined ? {} : { expires }) }
}
