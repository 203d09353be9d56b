/** What the operations on a shared value depend on, and what they have in common. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as FiberMap from "effect/FiberMap"
import type * as FiberSet from "effect/FiberSet"
import * as Metric from "effect/Metric"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Held } from "../../Held.ts"
import type { AcquireError, Lock } from "../../Lock.ts"
import type * as LockError from "../../LockError.ts"
import type { LockKind } from "../../LockKind.ts"
import type { LockPolicy } from "../../LockPolicy.ts"
import * as LockProtocol from "../../LockProtocol.ts"
import type { Content, FieldPath, ObjectSnapshot, ObjectStore } from "../../ObjectStore.ts"
import * as RefreshError from "../../RefreshError.ts"
import * as RefreshMetrics from "../../RefreshMetrics.ts"
import { isOfStart } from "../protocol/answer.ts"
import { quiet } from "../tracing.ts"
import type { Knowledge } from "./knowledge.ts"
import * as Location from "./location.ts"
import type { Sightings } from "./sightings.ts"
import type { ValueWatches } from "./valueWatch.ts"

/**
 * What the operations depend on.
 *
 * - `isImmutable`: whether an object with this content takes no new value.
 * - `takeoverGrace`: for how long a process leaves the lock to a holder whose lease has expired, in milliseconds.
 * - `rewrites`: the fibers that go on writing what could not be written, by id.
 * - `holds`: the locks under which they write, if no API server has answered yet.
 * - `pauses`: the fibers that keep a lock for a while after a refresh has failed.
 * - `counted`: how many values the gauge of unwritten ones counts of these. The process may share others as well.
 */
export interface Deps<A, E> {
  readonly store: ObjectStore["Service"]
  readonly lock: Lock["Service"]
  readonly kind: LockKind
  readonly policy: LockPolicy
  readonly createIfMissing: boolean
  readonly path: FieldPath
  readonly location: Location.Location<A>
  readonly isImmutable: (content: Content) => boolean
  readonly isFresh: (value: A) => Effect.Effect<boolean>
  readonly isSame: (a: A, b: A) => boolean
  readonly refresh: (current: Option.Option<A>, context: RefreshContext) => Effect.Effect<A, E>
  readonly pauseAfter: (error: E) => Duration.Input
  readonly knowledge: Knowledge<A>
  readonly sightings: Sightings
  readonly watches: ValueWatches
  readonly takeoverGrace: number
  readonly rewrites: FiberMap.FiberMap<string>
  readonly holds: Map<string, Hold>
  readonly pauses: FiberSet.FiberSet
  readonly counted: { unwritten: number }
}

/**
 * A lock that this process keeps: the scope that releases it, why its value is not written yet, and the last attempt to write it, which may
 * be under way.
 */
export interface Hold {
  readonly held: Held
  readonly scope: Scope.Closeable
  readonly reason: LockError.StoreError
  attempt: Fiber.Fiber<unknown> | undefined
}

/** What a refresh is told besides the stored value. */
export interface RefreshContext {
  /** The id of the value. */
  readonly id: string
  /** The fencing token of the lock under which it is refreshed. */
  readonly fencingToken: bigint
}

/** The errors of getting a value, other than those of the upstream. */
export type Failure = AcquireError | RefreshError.RefreshError

/** The value that is stored in an object. */
export const storedValue = <A, E>(
  { location, path, store }: Deps<A, E>,
  id: string,
  snapshot: ObjectSnapshot
): Effect.Effect<Option.Option<A>, RefreshError.Unreadable> =>
  Effect.mapError(
    location.read(contentOf(snapshot)),
    () => new RefreshError.Unreadable({ id, object: store.describe(id), field: Location.describe(path) })
  )

/** The content of an object. */
export const contentOf = ({ content }: ObjectSnapshot): Content => {
  if (content === undefined)
    throw new RangeError("RefreshOnce: the store does not include the content of objects; set its option content")
  return content
}

/** Whether the lease of this lock is on its object. */
export const hasLease = <A, E>({ kind }: Deps<A, E>, { holderId }: Held, { annotations }: ObjectSnapshot): boolean =>
  LockProtocol.verifyLease(kind.decode(annotations), holderId)._tag === "Ours"

/** Makes the object of this lock again, with the lease on it. If it is there, it stays as it is. */
export const makeAnew = <A, E>(
  { kind, policy, store }: Deps<A, E>,
  { holderId, id }: Held
): Effect.Effect<void, LockError.StoreError> =>
  Effect.flatMap(store.now, (now) => {
    const lease = LockProtocol.nextLease(now, { holderId, ttl: Duration.toMillis(policy.ttl) })
    return Effect.asVoid(store.create(id, kind.encode(lease)))
  })

/** Whether the same request may get another answer a moment later. */
export const mayPass = (error: LockError.StoreError): boolean => error._tag === "LockUnavailable" || isOfStart(error)

/** Counts a refresh by its outcome. */
export const count = (outcome: "Written" | "NotWritten" | "Failed" | "Interrupted"): Effect.Effect<void> =>
  quiet(Metric.update(Metric.withAttributes(RefreshMetrics.refreshes, { outcome }), 1))

/** Logs a line about an id. */
export const log = (id: string, level: "Info" | "Warn" | "Error", message: string): Effect.Effect<void> =>
  quiet(Effect.annotateLogs(Effect.logWithLevel(level)(message), { "kubelock.id": id }))
