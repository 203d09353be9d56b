/**
 * A store of Leases in which elections look like locks: the fields of a Lease's spec appear as the annotations of a lock's record.
 *
 * Every write is conditional on the resourceVersion, so it can lose no update of another: a precondition on annotations is compared
 * with the object as last seen, and the object is read again if it has changed since.
 *
 * A holder that is a kubelock is judged by its expiry on the API server's clock. Any other is judged by `sightings`: the expiry that
 * appears here is as far ahead of the server's time as the record has left on this machine's clock. It is right for a decision at
 * the moment at which the object was seen. A queue on such a Lease is a leftover: it does not appear, so that nobody leaves it, and
 * goes with the holder.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { Occupied, Unavailable } from "../../LockError.ts"
import type { LockKind } from "../../LockKind.ts"
import * as Kind from "../../LockKind.ts"
import * as LockQueue from "../../LockQueue.ts"
import * as LockRecord from "../../LockRecord.ts"
import type {
  ConditionalPatch,
  Content,
  MetadataPatch,
  ObjectSnapshot,
  ServerTime,
  WatchEvent
} from "../../ObjectStore.ts"
import { ObjectStore } from "../../ObjectStore.ts"
import * as boundedMap from "../boundedMap.ts"
import { holds } from "../precondition.ts"
import * as ClockReading from "../time/clockReading.ts"
import * as rfc3339 from "../time/rfc3339.ts"
import { isOlder } from "../version.ts"
import type { LeaseSpec } from "./leaseSpec.ts"
import * as leaseSpec from "./leaseSpec.ts"
import * as sightings from "./sightings.ts"

/** The kind of lock that an election is: exclusive, with holders that are no kubelock and have a name. */
export const kind = (key: string): LockKind => {
  const exclusive = Kind.exclusive(key)
  return {
    ...exclusive,
    what: "leadership",
    decode: (annotations) => {
      const record = exclusive.decode(annotations)
      const peer = annotations[peerKey(key)]
      const lease = LockRecord.leaseOf(record)
      return lease === undefined || peer === undefined ? record : { _tag: "Leases", leases: [{ ...lease, peer }] }
    }
  }
}

/**
 * Options of the store.
 *
 * - `key`: the key of the elections' kind.
 * - `leaseDuration`: in seconds.
 * - `onSlowPath`: called if a write had to read the object first, since others had written.
 * - `onLongLease`: called once for each holder that keeps a Lease for more than a day after each renewal: a mistake, most likely.
 */
export interface Options {
  readonly key: string
  readonly leaseDuration: number
  readonly onSlowPath: (id: string) => Effect.Effect<void>
  readonly onLongLease: (id: string, holder: string, seconds: number) => Effect.Effect<void>
}

/** Makes the store, over one of Leases that includes content. */
export const make = (
  leases: ObjectStore["Service"],
  { key, leaseDuration, onLongLease, onSlowPath }: Options
): ObjectStore["Service"] => {
  const known = boundedMap.make<string, ObjectSnapshot>(capacity)
  const sighted = sightings.make(leaseDuration)
  const reported = boundedMap.make<string, string>(capacity)
  const virtual = new Set([key, LockRecord.holderKey(key), peerKey(key)])

  const remember = (id: string, snapshot: ObjectSnapshot) => {
    const before = known.get(id)
    if (before?.uid !== snapshot.uid || !isOlder(snapshot.resourceVersion, before.resourceVersion)) {
      known.set(id, snapshot)
    }
  }

  const reportLongLease = (id: string, spec: LeaseSpec): Effect.Effect<void> => {
    const { leaseDurationSeconds = 0 } = spec
    const { holderIdentity = "" } = spec
    if (leaseDurationSeconds <= longestLease || !isPeers(spec) || reported.get(id) === holderIdentity)
      return Effect.void
    reported.set(id, holderIdentity)
    return onLongLease(id, holderIdentity, leaseDurationSeconds)
  }

  const see = (id: string, snapshot: ObjectSnapshot): Effect.Effect<ObjectSnapshot, Occupied> => {
    const { annotations, content, labels, resourceVersion, uid } = snapshot
    const spec = leaseSpec.fromContent(content)
    const [holder] = leaseSpec.lockHolders(annotations)
    if (holder !== undefined) return Effect.fail(new Occupied({ object: leases.describe(id), by: "lock", holder }))
    // In this order, whatever happens in between: the record lasts no shorter than its holder relies on it.
    const seen = Effect.zipWith(ClockReading.now, leases.now, (now, server) => {
      remember(id, snapshot)
      const record = recordOf(id, uid, spec, server, now)
      const queue = isPeers(spec) ? removedQueue(annotations) : {}
      return { uid, resourceVersion, labels, annotations: { ...visible(annotations, queue), ...record } }
    })
    return Effect.andThen(reportLongLease(id, spec), seen)
  }

  const recordOf = (
    id: string,
    uid: string,
    spec: LeaseSpec,
    { earliest }: ServerTime,
    now: ClockReading.ClockReading
  ): Readonly<Record<string, string>> => {
    const holder = leaseSpec.holderOf(spec)
    if (holder === undefined) return {}
    const own = leaseSpec.ownLease(spec)
    if (own !== undefined) return LockRecord.toAnnotations(key, own)
    const left = sighted.left(id, uid, spec, now)
    const expiry = Number.isFinite(earliest) ? rfc3339.formatMicros(Math.ceil(earliest + left)) : endOfTime
    return { [key]: expiry, [peerKey(key)]: holder }
  }

  const visible = <Value>(
    annotations: Readonly<Record<string, Value>>,
    hidden: Readonly<Record<string, unknown>> = {}
  ): Record<string, Value> =>
    Object.fromEntries(Object.entries(annotations).filter(([name]) => !virtual.has(name) && !(name in hidden)))

  const removedQueue = (annotations: Readonly<Record<string, string>>): Readonly<Record<string, null>> =>
    Object.fromEntries(
      Object.keys(annotations)
        .filter((name) => LockQueue.isQueueKey(key, name))
        .map((name) => [name, null])
    )

  const read = (id: string) => Effect.flatMap(leases.read(id), (snapshot) => see(id, snapshot))

  // What a lock's patch changes in the spec as it was; `undefined` for a new Lease.
  const changesOf = (annotations: MetadataPatch, before: LeaseSpec | undefined, now: ServerTime): Content => {
    const lease = leaseSpec.leaseIn(key, annotations)
    if (lease === undefined) return {}
    return lease === "Removed" ? leaseSpec.released(now.latest) : leaseSpec.holding(before, lease, now.earliest)
  }

  // The write of a lock, as a write to the Lease in the version that is known.
  const translated = (patch: ConditionalPatch, current: ObjectSnapshot, now: ServerTime): ConditionalPatch => {
    const before = leaseSpec.fromContent(current.content)
    const leftovers = isPeers(before) ? removedQueue(current.annotations) : {}
    return {
      expect: { resourceVersion: current.resourceVersion },
      annotations: { ...leftovers, ...visible(patch.annotations) },
      labels: patch.labels,
      content: leaseSpec.fieldsIn(changesOf(patch.annotations, before, now))
    }
  }

  const compareAndSwap = Effect.fnUntraced(function* (id: string, patch: ConditionalPatch) {
    let current = known.get(id)
    for (let reads = 0; ;) {
      if (current === undefined) {
        current = yield* leases.read(id)
        reads++
      }
      if (holds(patch.expect, yield* see(id, current))) {
        const answer = yield* leases.compareAndSwap(id, translated(patch, current, yield* leases.now))
        if (Option.isSome(answer)) return Option.some(yield* see(id, answer.value))
        if ("resourceVersion" in patch.expect) return Option.none()
      } else if (reads > 0) {
        return Option.none()
      }
      if (reads === mostReads) return yield* new Unavailable({ object: leases.describe(id), ...busy })
      if (reads === 0) yield* onSlowPath(id)
      current = undefined
    }
  })

  return ObjectStore.of({
    ...leases,
    createIfMissing: true,
    sharedWithDex: false,
    holdsLeases: false,
    includesContent: false,
    read,
    create: Effect.fnUntraced(function* (id, annotations) {
      const spec = changesOf(annotations, undefined, yield* leases.now)
      const made = yield* leases.create(id, visible(annotations), { spec })
      return Option.isSome(made) ? Option.some(yield* see(id, made.value)) : made
    }),
    compareAndSwap,
    dryRun: () => Effect.succeed({ _tag: "Unknown" }),
    watch: (id, options) =>
      Stream.mapEffect(leases.watch(id, { ...options, content: true }), (event) =>
        event._tag === "Deleted"
          ? Effect.succeed(event)
          : Effect.map(see(id, event.snapshot), (snapshot): WatchEvent => ({ _tag: "Changed", snapshot }))
      )
  })
}

/** Whether a holder has the Lease that is no kubelock. */
const isPeers = (spec: LeaseSpec): boolean =>
  leaseSpec.holderOf(spec) !== undefined && leaseSpec.ownLease(spec) === undefined

const peerKey = (key: string): string => `${key}-peer`

/** The expiry of a holder as long as nothing is known of the server's time. */
const endOfTime = "9999-12-31T23:59:59Z"

const busy = { verb: "patch", detail: "the object changes faster than this process can write to it" }

/** The longest lease of an election, in seconds (`ElectionTiming`). */
const longestLease = 86_400

/** How often a write reads the object, since others write to it at the same time. Our choice. */
const mostReads = 5

// A Lease that is forgotten is read again.
const capacity = 10_000
