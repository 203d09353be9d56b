/**
 * The holds of a test, in memory that all threads share: those of the first object, up to a number, and how many there were of all
 * objects in each part of the time. Its size is constant.
 */

/** The shared memory. It may be posted to other threads. Times are in milliseconds since `origin`, itself on the monotonic clock. */
export interface Holds {
  readonly partMillis: number
  readonly origin: Float64Array<SharedArrayBuffer>
  readonly count: Int32Array<SharedArrayBuffer>
  readonly who: Uint16Array<SharedArrayBuffer>
  readonly entered: Float64Array<SharedArrayBuffer>
  readonly left: Float64Array<SharedArrayBuffer>
  readonly parts: Int32Array<SharedArrayBuffer>
}

/** One hold, by the contender numbered `who`. */
export interface Hold {
  readonly who: number
  readonly entered: number
  readonly left: number
}

/** Into how many parts the time is divided at most. */
const mostParts = 1024

const parts = 960

/** Makes it for a test that is planned to last for so long. */
export const make = (seconds: number, capacity = 2 ** 20): Holds => ({
  partMillis: Math.max(10, Math.ceil((seconds * 1000) / parts)),
  origin: new Float64Array(new SharedArrayBuffer(8)),
  count: new Int32Array(new SharedArrayBuffer(4)),
  who: new Uint16Array(new SharedArrayBuffer(2 * capacity)),
  entered: new Float64Array(new SharedArrayBuffer(8 * capacity)),
  left: new Float64Array(new SharedArrayBuffer(8 * capacity)),
  parts: new Int32Array(new SharedArrayBuffer(4 * mostParts))
})

/** Records a hold of the object number `id` that has ended. The times are in nanoseconds on the monotonic clock. */
export const record = (self: Holds, id: number, who: number, entered: bigint, left: bigint): void => {
  const [origin = 0] = self.origin
  const from = Number(entered) / 1e6 - origin
  Atomics.add(self.parts, Math.min(mostParts - 1, Math.max(0, Math.floor(from / self.partMillis))), 1)
  if (id !== 0) return
  const index = Atomics.add(self.count, 0, 1)
  if (index >= self.who.length) return
  self.who[index] = who
  self.entered[index] = from
  self.left[index] = Number(left) / 1e6 - origin
}

/** Forgets everything, and begins at this moment. */
export const begin = (self: Holds, origin: number): void => {
  self.origin[0] = origin
  self.count.fill(0)
  self.parts.fill(0)
}

/** The holds, in the order of their beginnings. `isComplete`: whether there was room for all of them. */
export const read = (self: Holds): { readonly holds: ReadonlyArray<Hold>; readonly isComplete: boolean } => {
  const count = Atomics.load(self.count, 0)
  const holds = Array.from({ length: Math.min(count, self.who.length) }, (_, index): Hold => ({
    who: self.who[index]!,
    entered: self.entered[index]!,
    left: self.left[index]!
  }))
  return { holds: holds.toSorted((a, b) => a.entered - b.entered), isComplete: count <= self.who.length }
}
