/**
 * What a process has seen under each id: which object, in which version, and when that one vanished; and which lease has expired, and since
 * when.
 *
 * With an object that is deleted its lock goes, too. A process that refreshes the value then has no lock any more, and is about to
 * write its answer. So is a process whose lease has expired because it could not reach the API server.
 */
import type { HolderInfo } from "../../LockProtocol.ts"
import type { ObjectSnapshot } from "../../ObjectStore.ts"
import * as boundedMap from "../boundedMap.ts"
import { isOlder } from "../version.ts"

type Seen = Pick<ObjectSnapshot, "uid" | "resourceVersion">

/** The sightings of a process. Times are in milliseconds of a monotonic clock. */
export interface Sightings {
  /** This object was seen, or none. Returns how long ago one vanished that was seen before. */
  readonly see: (id: string, object: Seen | undefined, now: number) => number | undefined
  /** Whether a later version was the last to be seen. A server may begin a watch with what its cache still has. */
  readonly isOutdated: (id: string, object: Seen) => boolean
  /**
   * The expired lease of this holder was seen on the object. Returns for how long it has been seen. The time between two sightings counts
   * for `longestStep` at most: if no API server answered meanwhile, then perhaps not to that holder either.
   */
  readonly seeExpired: (id: string, holder: HolderInfo, now: number) => number
}

/** In milliseconds: the time-out of a request. Our choice. */
export const longestStep = 5000

/** Makes the sightings of at most `capacity` ids. */
export const make = (capacity: number): Sightings => {
  const last = boundedMap.make<string, { readonly object: Seen | undefined; readonly vanishedAt: number | undefined }>(
    capacity
  )
  const expired = boundedMap.make<
    string,
    { readonly lease: HolderInfo; readonly seenAt: number; readonly seenFor: number }
  >(capacity)
  return {
    see: (id, object, now) => {
      const before = last.get(id)
      const vanished = before?.object !== undefined && before.object.uid !== object?.uid
      const vanishedAt = vanished ? now : before?.vanishedAt
      const seen = object && { uid: object.uid, resourceVersion: object.resourceVersion }
      last.set(id, { object: seen, vanishedAt })
      return vanishedAt === undefined ? undefined : now - vanishedAt
    },
    isOutdated: (id, { resourceVersion }) =>
      isOlder(resourceVersion, last.get(id)?.object?.resourceVersion ?? resourceVersion),
    seeExpired: (id, lease, now) => {
      const before = expired.get(id)
      const isSame = before?.lease.holder === lease.holder && before?.lease.expiry === lease.expiry
      const seenFor = isSame ? before!.seenFor + Math.min(longestStep, now - before!.seenAt) : 0
      expired.set(id, { lease, seenAt: now, seenFor })
      return seenFor
    }
  }
}
