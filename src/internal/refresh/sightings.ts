/**
 * Which object a process has seen under each id, and when that one vanished.
 *
 * With an object that is deleted its lock goes, too. A process that refreshes the value then has no lock any more, and is about to
 * write its answer.
 */
import * as boundedMap from "../boundedMap.ts"

/** The sightings of a process. Times are in milliseconds of a monotonic clock. */
export interface Sightings {
  /** The object with this uid was seen, or none. Returns how long ago one vanished that was seen before. */
  readonly see: (id: string, uid: string | undefined, now: number) => number | undefined
}

/** Makes the sightings of at most `capacity` ids. */
export const make = (capacity: number): Sightings => {
  const last = boundedMap.make<string, { readonly uid: string | undefined; readonly vanishedAt: number | undefined }>(
    capacity
  )
  return {
    see: (id, uid, now) => {
      const before = last.get(id)
      const vanished = before?.uid !== undefined && before.uid !== uid
      const vanishedAt = vanished ? now : before?.vanishedAt
      last.set(id, { uid, vanishedAt })
      return vanishedAt === undefined ? undefined : now - vanishedAt
    }
  }
}
