/**
 * Proof that no more are inside than may be, in memory that all threads share. It knows nothing of locks, and its size is constant.
 *
 * The critical section of an id has so many seats. A contender that enters takes a free one, or all of them if it must be alone: it
 * exchanges the seat from 0 to its own number, atomically, and back when it leaves. If it finds too few free seats, there is an overlap,
 * and the number in a taken seat names another contender. So an exclusive lock has one seat, a semaphore as many as permits, and a shared
 * lock as many as contenders: a reader takes one, and a writer all.
 *
 * Independently, a contender that must be alone reads a plain counter on entering and writes it one larger on leaving. Overlaps lose
 * updates, and the sum falls behind the number of visits. Others read it on entering and on leaving, and must read the same.
 */

/** The shared memory. It may be posted to other threads. */
export interface Witness {
  /** How many may be inside the critical section of an id. */
  readonly seats: number
  /** The contenders inside, in one cell for each seat of each id: 0 if it is free. */
  readonly inside: Int32Array<SharedArrayBuffer>
  /** The other cells are one for each id. These are counted atomically. */
  readonly acquisitions: Int32Array<SharedArrayBuffer>
  readonly present: Int32Array<SharedArrayBuffer>
  readonly mostPresent: Int32Array<SharedArrayBuffer>
  /** How many have been alone and left. */
  readonly updates: Int32Array<SharedArrayBuffer>
  /** The same, counted by a plain read and a plain write. */
  readonly plain: Int32Array<SharedArrayBuffer>
  /** When the last contender left, in nanoseconds on the clock of the process: 0 if none has. */
  readonly left: BigInt64Array<SharedArrayBuffer>
  readonly overlaps: Int32Array<SharedArrayBuffer>
  readonly staleReads: Int32Array<SharedArrayBuffer>
  readonly incidents: Float64Array<SharedArrayBuffer>
}

/** An overlap: at `nanos`, `who` was in the critical section of an id together with `other`. */
export interface Incident {
  readonly nanos: number
  readonly id: number
  readonly who: number
  readonly other: number
}

/**
 * One stay in a critical section, in as many seats as `seated`. `isSole` if nobody may be beside it. Only then has it a `sinceLeft`, the
 * time since the last contender left, in nanoseconds.
 */
export interface Visit {
  readonly id: number
  readonly who: number
  readonly isSole: boolean
  readonly seated: number
  readonly read: number
  readonly sinceLeft: bigint | undefined
}

/**
 * The verdict. `mostInside` is how many were inside one critical section at once. `staleReads` are visits during which a contender wrote
 * that must be alone. `violations` is the larger of overlaps seen and of updates lost and stale reads.
 */
export interface Verdict {
  readonly acquisitions: number
  readonly mostInside: number
  readonly overlaps: number
  readonly lostUpdates: number
  readonly staleReads: number
  readonly violations: number
  readonly incidents: ReadonlyArray<Incident>
}

const incidentsKept = 16
const incidentFields = 4

const cells = (count: number) => new Int32Array(new SharedArrayBuffer(4 * count))

/** Makes the memory for so many ids, each with so many seats. */
export const make = (ids: number, seats = 1): Witness => ({
  seats,
  inside: cells(ids * seats),
  acquisitions: cells(ids),
  present: cells(ids),
  mostPresent: cells(ids),
  updates: cells(ids),
  plain: cells(ids),
  left: new BigInt64Array(new SharedArrayBuffer(8 * ids)),
  overlaps: cells(1),
  staleReads: cells(1),
  incidents: new Float64Array(new SharedArrayBuffer(8 * incidentsKept * incidentFields))
})

/** Enters the critical section of an id, as the contender numbered `who` (1 or more). It is alone there, or takes one seat. */
export const enter = (
  self: Witness,
  id: number,
  who: number,
  now: bigint,
  isSole: boolean = self.seats === 1
): Visit => {
  const wanted = isSole ? self.seats : 1
  let [seated, other] = [0, 0]
  for (let seat = 0; seat < self.seats && seated < wanted; seat++) {
    const found = Atomics.compareExchange(self.inside, id * self.seats + seat, 0, who)
    if (found === 0) seated++
    else if (other === 0) other = found
  }
  if (seated < wanted) report(self, { nanos: Number(now), id, who, other })
  Atomics.add(self.acquisitions, id, 1)
  const present = Atomics.add(self.present, id, 1) + 1
  let most = Atomics.load(self.mostPresent, id)
  while (present > most) most = Atomics.compareExchange(self.mostPresent, id, most, present)
  const left = Atomics.load(self.left, id)
  return { id, who, isSole, seated, read: self.plain[id]!, sinceLeft: isSole && left !== 0n ? now - left : undefined }
}

/** Leaves it. This must be called before the lock is released. */
export const leave = (self: Witness, visit: Visit, now: bigint): void => {
  const { id, isSole, read, seated, who } = visit
  if (isSole) {
    self.plain[id] = read + 1
    Atomics.add(self.updates, id, 1)
  } else if (self.plain[id] !== read) {
    Atomics.add(self.staleReads, 0, 1)
  }
  Atomics.store(self.left, id, now)
  Atomics.sub(self.present, id, 1)
  let left = 0
  for (let seat = 0; seat < self.seats && left < seated; seat++) {
    if (Atomics.compareExchange(self.inside, id * self.seats + seat, who, 0) === who) left++
  }
  if (left < seated) report(self, { nanos: Number(now), id, who, other: 0 })
}

/** Forgets when the ids were last left: the time of a pause is no hand-off. */
export const pause = (self: Witness): void => {
  self.left.fill(0n)
}

/** Forgets everything. No contender may be inside. */
export const reset = (self: Witness): void => {
  const { acquisitions, incidents, mostPresent, overlaps, plain, staleReads, updates } = self
  for (const cells of [acquisitions, mostPresent, updates, plain, overlaps, staleReads, incidents]) cells.fill(0)
  pause(self)
}

/** Judges. A contender that is inside has not written yet, and has lost nothing. */
export const verdict = (self: Witness): Verdict => {
  const overlaps = Atomics.load(self.overlaps, 0)
  const staleReads = Atomics.load(self.staleReads, 0)
  const lostUpdates = sum(self.updates) - sum(self.plain)
  const incidents = Array.from({ length: Math.min(overlaps, incidentsKept) }, (_, index): Incident => {
    const [nanos, id, who, other] = self.incidents.subarray(index * incidentFields, (index + 1) * incidentFields)
    return { nanos: nanos!, id: id!, who: who!, other: other! }
  })
  return {
    acquisitions: sum(self.acquisitions),
    mostInside: Math.max(...self.mostPresent),
    overlaps,
    lostUpdates,
    staleReads,
    violations: Math.max(overlaps, lostUpdates + staleReads),
    incidents
  }
}

const report = (self: Witness, { id, nanos, other, who }: Incident): void => {
  const index = Atomics.add(self.overlaps, 0, 1)
  if (index < incidentsKept) self.incidents.set([nanos, id, who, other], index * incidentFields)
}

const sum = (counts: Int32Array): number => counts.reduce((total, count) => total + count, 0)
