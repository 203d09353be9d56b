/**
 * Proof of mutual exclusion, in memory that all threads share. It knows nothing of locks, and its size is constant.
 *
 * A contender that enters the critical section of an id exchanges the id's cell from 0 to its own number, atomically, and
 * back when it leaves. If the exchange finds another number, there is an overlap, and the number names the other contender.
 * Independently, a plain counter is read on entering and written one larger on leaving. Overlaps lose updates, and the sum
 * falls behind the number of acquisitions.
 */

/** The shared memory, one cell per id. It may be posted to other threads. */
export interface Witness {
  /** The contender inside: 0 if there is none. */
  readonly inside: Int32Array<SharedArrayBuffer>
  /** Counted atomically. */
  readonly acquisitions: Int32Array<SharedArrayBuffer>
  /** Counted by a plain read and a plain write. */
  readonly plain: Int32Array<SharedArrayBuffer>
  /** When the last contender left, in nanoseconds on the clock of the process: 0 if none has. */
  readonly left: BigInt64Array<SharedArrayBuffer>
  readonly overlaps: Int32Array<SharedArrayBuffer>
  readonly incidents: Float64Array<SharedArrayBuffer>
}

/** An overlap: at `nanos`, `who` was in the critical section of an id together with `other`. */
export interface Incident {
  readonly nanos: number
  readonly id: number
  readonly who: number
  readonly other: number
}

/** One stay in a critical section. `sinceLeft` is the time since the last contender left, in nanoseconds. */
export interface Visit {
  readonly id: number
  readonly who: number
  readonly alone: boolean
  readonly read: number
  readonly sinceLeft: bigint | undefined
}

/** The verdict. `violations` is the larger of overlaps seen and updates lost. */
export interface Verdict {
  readonly acquisitions: number
  readonly overlaps: number
  readonly lostUpdates: number
  readonly violations: number
  readonly incidents: ReadonlyArray<Incident>
}

const incidentsKept = 16
const incidentFields = 4

/** Makes the memory for so many ids. */
export const make = (ids: number): Witness => ({
  inside: new Int32Array(new SharedArrayBuffer(4 * ids)),
  acquisitions: new Int32Array(new SharedArrayBuffer(4 * ids)),
  plain: new Int32Array(new SharedArrayBuffer(4 * ids)),
  left: new BigInt64Array(new SharedArrayBuffer(8 * ids)),
  overlaps: new Int32Array(new SharedArrayBuffer(4)),
  incidents: new Float64Array(new SharedArrayBuffer(8 * incidentsKept * incidentFields))
})

/** Enters the critical section of an id, as the contender numbered `who` (1 or more). */
export const enter = (self: Witness, id: number, who: number, now: bigint): Visit => {
  const other = Atomics.compareExchange(self.inside, id, 0, who)
  if (other !== 0) report(self, { nanos: Number(now), id, who, other })
  Atomics.add(self.acquisitions, id, 1)
  const left = Atomics.load(self.left, id)
  return { id, who, alone: other === 0, read: self.plain[id]!, sinceLeft: left === 0n ? undefined : now - left }
}

/** Leaves it. This must be called before the lock is released. */
export const leave = (self: Witness, visit: Visit, now: bigint): void => {
  const { alone, id, read, who } = visit
  self.plain[id] = read + 1
  Atomics.store(self.left, id, now)
  if (!alone) return
  const other = Atomics.compareExchange(self.inside, id, who, 0)
  if (other !== who) report(self, { nanos: Number(now), id, who, other })
}

/** Forgets when the ids were last left: the time of a pause is no hand-off. */
export const pause = (self: Witness): void => {
  self.left.fill(0n)
}

/** Forgets everything. No contender may be inside. */
export const reset = (self: Witness): void => {
  for (const cells of [self.acquisitions, self.plain, self.overlaps, self.incidents]) cells.fill(0)
  pause(self)
}

/** Judges. A contender that is inside has not written yet, and has lost nothing. */
export const verdict = (self: Witness): Verdict => {
  const acquisitions = sum(self.acquisitions)
  const overlaps = Atomics.load(self.overlaps, 0)
  const lostUpdates = acquisitions - sum(self.plain) - self.inside.filter((who) => who !== 0).length
  const incidents = Array.from({ length: Math.min(overlaps, incidentsKept) }, (_, index): Incident => {
    const [nanos, id, who, other] = self.incidents.subarray(index * incidentFields, (index + 1) * incidentFields)
    return { nanos: nanos!, id: id!, who: who!, other: other! }
  })
  return { acquisitions, overlaps, lostUpdates, violations: Math.max(overlaps, lostUpdates), incidents }
}

const report = (self: Witness, { id, nanos, other, who }: Incident): void => {
  const index = Atomics.add(self.overlaps, 0, 1)
  if (index < incidentsKept) self.incidents.set([nanos, id, who, other], index * incidentFields)
}

const sum = (counts: Int32Array): number => counts.reduce((total, count) => total + count, 0)
