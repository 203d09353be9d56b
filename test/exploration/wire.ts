/**
 * The world's numbers and the library's texts, both ways.
 *
 * Times are ticks of one second **relative to the present**: the present is always 0, and passing time makes every
 * number smaller. So states that differ only in when they happen are one state.
 */
import { dexAnnotation } from "../../src/LockPolicy.ts"
import * as LockQueue from "../../src/LockQueue.ts"
import * as LockRecord from "../../src/LockRecord.ts"
import type { ObjectSnapshot } from "../../src/ObjectStore.ts"

/** The line as it stands on the object: contenders by number, in the order of their turns. */
export interface Line {
  readonly since: number
  readonly names: ReadonlyArray<number>
}

/**
 * The queue. `arrived` has a bit for each contender that has arrived, `forged` one where the annotation of a contender's
 * arrival holds something else. `label` is whom the label names.
 */
export interface Queue {
  readonly line: Line | undefined
  readonly arrived: number
  readonly forged: number
  readonly label: number
}

/** What the object says: expiry of the lock, whom `-holder` names and with which expiry, a stranger's value, the queue. */
export interface Annotations {
  readonly lock: number
  readonly by: number
  readonly byUntil: number
  readonly foreign: number
  readonly queue: Queue
}

/** In the place of a time: it is not there, or is no time. */
export const absent = -100
export const malformed = -101

/** In the place of a contender: nobody; one that is not there at all; what is no name. */
export const nobody = 15
export const ghost = 7
export const rubbish = 8

/** The key of the lock. */
export const key = dexAnnotation

export const emptyQueue: Queue = { line: undefined, arrived: 0, forged: 0, label: nobody }

const present = Date.UTC(2026, 10, 24, 10, 20)
const foreignKey = "example.com/stranger"
const malformedText = "soon"
const rubbishText = "rubbish"

/** A tick in milliseconds since 1970. */
export const millis = (tick: number): number => present + tick * 1000

const memo = <A>(make: (tick: number) => A): ((tick: number) => A) => {
  const known = new Map<number, A>()
  return (tick) => {
    const found = known.get(tick)
    if (found !== undefined) return found
    const made = make(tick)
    known.set(tick, made)
    return made
  }
}

const processOf = (index: number): string => `process0000${index}`

/** The name under which a contender holds, or stands in the queue. */
export const holderName = memo((index) =>
  index === rubbish ? rubbishText : LockQueue.holderId("contender", processOf(index), index)
)

const indices = new Map(Array.from({ length: 9 }, (_, index) => [holderName(index), index]))

/** The contender of a name. */
export const indexOf = (name: string): number => {
  const index = indices.get(name)
  if (index === undefined) throw new Error(`no contender of this world: ${name}`)
  return index
}

const arrivalKeys = new Map(
  Array.from({ length: 8 }, (_, index) => [LockQueue.joinKey(dexAnnotation, holderName(index)), index])
)

/**
 * What an arrival holds. All have found the same version, so that they come into the line by their numbers: any order does,
 * since who is who differs from world to world.
 */
export const arrivalText = (index: number): string => `${holderName(index)}@${foundVersion}`

/** The version that all who arrive have found. */
export const foundVersion = "1"

/** The contender whose arrival an annotation is. */
export const arrivalOf = (key: string): number | undefined => arrivalKeys.get(key)

/** The contender whose process a label names. */
export const labelled = (process: string): number => Number(process.slice(-1))

/** The expiry of a tick as it is written. */
export const expiryText = memo((tick) => LockRecord.expiryAt(millis(tick)))

const ticks = new Map<string, number>(Array.from({ length: 161 }, (_, index) => [expiryText(index - 80), index - 80]))

/** The tick of an expiry that the library wrote. */
export const tickOf = (expiry: string): number => {
  const tick = ticks.get(expiry)
  if (tick === undefined) throw new Error(`no tick of this world: ${expiry}`)
  return tick
}

/** The tick and the contender of what `-holder` says. */
export const leaseOf = (named: string): { readonly by: number; readonly until: number } => {
  const mark = named.lastIndexOf("@")
  return { by: indexOf(named.slice(0, mark)), until: tickOf(named.slice(mark + 1)) }
}

const lineText = ({ names, since }: Line): string =>
  [...(since === absent ? [] : [`since=${millis(since)}`]), ...names.map(holderName)].join(" ")

/** The line of what the annotation says. */
export const lineOf = (text: string): Line => {
  const tokens = text.split(" ")
  const mark = tokens[0]!.startsWith("since=") ? tokens.shift() : undefined
  const since = mark === undefined ? absent : (Number(mark.slice("since=".length)) - present) / 1000
  return { since, names: tokens.map(indexOf) }
}

const keyOfQueue = ({ arrived, forged, label, line }: Queue): string =>
  line === undefined ? `${arrived},${forged},${label}` : `${arrived},${forged},${label},${line.since}:${line.names}`

const keyOf = ({ by, byUntil, foreign, lock, queue }: Annotations): string =>
  `${lock},${by},${byUntil},${foreign},${keyOfQueue(queue)}`

/** How the library reads an object. */
export interface Reading extends Pick<ObjectSnapshot, "annotations" | "labels"> {
  readonly record: LockRecord.LockRecord
  readonly queue: LockQueue.Queue
}

const readings = new Map<string, Reading>()

/** As the API server has it, and as the library reads it. */
export const read = (self: Annotations): Reading => {
  const id = keyOf(self)
  const known = readings.get(id)
  if (known !== undefined) return known
  const made = textsOf(self)
  const reading: Reading = {
    annotations: made,
    labels: self.queue.label === nobody ? {} : { [LockQueue.labelKey(dexAnnotation)]: processOf(self.queue.label) },
    record: LockRecord.fromAnnotations(dexAnnotation, made),
    queue: LockQueue.fromAnnotations(dexAnnotation, made)
  }
  if (readings.size > 200_000) readings.clear()
  readings.set(id, reading)
  return reading
}

/** A queue as a holder knows it, who knows nothing else of the object that matters. */
export const readQueue = (queue: Queue): Reading => read({ lock: absent, by: nobody, byUntil: 0, foreign: 0, queue })

const textsOf = (self: Annotations): Readonly<Record<string, string>> => {
  const { arrived, forged, line } = self.queue
  const made: Record<string, string> = {}
  if (self.lock !== absent) made[dexAnnotation] = self.lock === malformed ? malformedText : expiryText(self.lock)
  if (self.by !== nobody) {
    made[LockRecord.holderKey(dexAnnotation)] = `${holderName(self.by)}@${expiryText(self.byUntil)}`
  }
  if (line !== undefined) made[LockQueue.queueKey(dexAnnotation)] = lineText(line)
  if (arrived + forged > 0) {
    for (const [key, index] of arrivalKeys) {
      if ((arrived >> index) & 1) made[key] = arrivalText(index)
      if ((forged >> index) & 1) made[key] = rubbishText
    }
  }
  if (self.foreign !== 0) made[foreignKey] = String(self.foreign)
  return made
}

/** Who stands in a queue, as the library reads it. */
export const waitingIn = (self: Annotations): ReadonlyArray<number> =>
  self.queue.line === undefined && self.queue.arrived === 0 ? [] : read(self).queue.waiters.map(indexOf)

export const sameLine = (a: Line | undefined, b: Line | undefined): boolean =>
  a === b ||
  (a !== undefined &&
    b !== undefined &&
    a.since === b.since &&
    a.names.length === b.names.length &&
    a.names.every((name, place) => name === b.names[place]))

export const sameQueue = (a: Queue, b: Queue): boolean =>
  a.arrived === b.arrived && a.forged === b.forged && a.label === b.label && sameLine(a.line, b.line)

/** Whether a write changed nothing: then the resourceVersion stays as it is. */
export const same = (a: Annotations, b: Annotations): boolean =>
  a.lock === b.lock &&
  a.by === b.by &&
  a.byUntil === b.byUntil &&
  a.foreign === b.foreign &&
  sameQueue(a.queue, b.queue)

/** One tick on. */
export const lineEarlier = (line: Line | undefined): Line | undefined =>
  line === undefined || line.since === absent ? line : { ...line, since: line.since - 1 }

/** One tick on. */
export const queueEarlier = (queue: Queue): Queue => {
  const line = lineEarlier(queue.line)
  return line === queue.line ? queue : { ...queue, line }
}
