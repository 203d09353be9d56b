/**
 * The world's numbers and the library's texts, both ways.
 *
 * Times are ticks of one second, relative to the present. The present is always 0, and passing time makes every number smaller.
 * So states that differ only in when they happen are one state.
 */
import * as LockKind from "../../src/LockKind.ts"
import { dexAnnotation, neutralAnnotation } from "../../src/LockPolicy.ts"
import * as LockQueue from "../../src/LockQueue.ts"
import * as LockRecord from "../../src/LockRecord.ts"
import type { ObjectSnapshot } from "../../src/ObjectStore.ts"
import { millis } from "./time.ts"

/** The annotation that holds the queue: contenders by number, the next first. */
export interface Waiters {
  readonly chainStartedAt: number
  readonly ids: ReadonlyArray<number>
}

/**
 * The queue. `waiters` wait under Dex's key, `neutralWaiters` under the neutral one, which no Dex shares. `joined` has a bit for
 * each contender whose join stands on the object, `garbled` one for each contender whose join was replaced by something else.
 * `label` is the contender that the label names. `neutral` never changes: it has a bit for each contender that has the neutral
 * key.
 */
export interface Queue {
  readonly neutral: number
  readonly waiters: Waiters | undefined
  readonly neutralWaiters: Waiters | undefined
  readonly joined: number
  readonly garbled: number
  readonly label: number
}

/**
 * What the object says: the expiry of the lock, the holder and expiry in `-holder`, a stranger's value, the queue. The lock stands under
 * the key of its holder.
 */
export interface Annotations {
  readonly lock: number
  readonly by: number
  readonly byUntil: number
  readonly foreign: number
  readonly queue: Queue
}

/** Instead of a time: there is none, or what stands there is no time. */
export const absent = -100
export const malformed = -101

/** Instead of a contender: nobody, a contender that does not exist, or what is no holder ID. */
export const nobody = 15
export const ghost = 7
export const rubbish = 8

/** The keys: Dex's and the neutral one. */
export const keys = [dexAnnotation, neutralAnnotation] as const

/** The key of a contender, as its place in `keys`. Dex's if there is no such contender. */
export const keyOf = ({ neutral }: Pick<Queue, "neutral">, index: number): 0 | 1 => ((neutral >> index) & 1) as 0 | 1

const kinds = keys.map(LockKind.exclusive)

/** The kind of lock of a contender. */
export const kindOf = (self: Pick<Queue, "neutral">, index: number): LockKind.LockKind => kinds[keyOf(self, index)]!

export const emptyQueue: Queue = {
  neutral: 0,
  waiters: undefined,
  neutralWaiters: undefined,
  joined: 0,
  garbled: 0,
  label: nobody
}

const foreignKey = "example.com/stranger"
const malformedText = "soon"
const rubbishText = "rubbish"

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

/** The holder ID of a contender. */
export const holderId = memo((index) =>
  index === rubbish ? rubbishText : LockQueue.holderId("contender", processOf(index), index)
)

const indices = new Map(Array.from({ length: 9 }, (_, index) => [holderId(index), index]))

/** The contender of a holder ID. */
export const indexOf = (holderId: string): number => {
  const index = indices.get(holderId)
  if (index === undefined) throw new Error(`no contender of this world: ${holderId}`)
  return index
}

const joinKeys = new Map(
  keys.flatMap((key) =>
    Array.from({ length: 8 }, (_, index) => [LockQueue.joinKey(key, holderId(index)), index] as const)
  )
)

/** The version of each snapshot. Whether it is the current one, the world knows. */
export const version = "1"

/**
 * The value of a join. All waiters have found the same version, so that they come into the queue by their numbers. Any order
 * does, since the numbers differ from world to world.
 */
export const joinText = (index: number): string => `${holderId(index)}@${version}`

/** The contender whose join an annotation is. */
export const joinerOf = (key: string): number | undefined => joinKeys.get(key)

/** The contender whose process a label names. */
export const indexOfProcess = (process: string): number => Number(process.slice(-1))

/** The expiry of a tick as it is written. */
export const expiryText = memo((tick) => LockRecord.expiryAt(millis(tick)))

const ticks = new Map<string, number>(Array.from({ length: 161 }, (_, index) => [expiryText(index - 80), index - 80]))

/** The tick of an expiry that the library wrote. */
export const tickOf = (expiry: string): number => {
  const tick = ticks.get(expiry)
  if (tick === undefined) throw new Error(`no tick of this world: ${expiry}`)
  return tick
}

/** The contender and the tick in a value of `-holder`. */
export const leaseOf = (named: string): { readonly by: number; readonly until: number } => {
  const mark = named.lastIndexOf("@")
  return { by: indexOf(named.slice(0, mark)), until: tickOf(named.slice(mark + 1)) }
}

const chainStart = "since="

const waitersText = ({ ids, chainStartedAt }: Waiters): string =>
  [...(chainStartedAt === absent ? [] : [`${chainStart}${millis(chainStartedAt)}`]), ...ids.map(holderId)].join(" ")

/** The waiters in the annotation of the queue. */
export const waitersOf = (text: string): Waiters => {
  const tokens = text.split(" ")
  const isMarked = tokens[0]!.startsWith(chainStart)
  return {
    chainStartedAt: isMarked ? (Number(tokens[0]!.slice(chainStart.length)) - millis(0)) / 1000 : absent,
    ids: (isMarked ? tokens.slice(1) : tokens).map(indexOf)
  }
}

const idOfQueue = ({ garbled, joined, label, neutral, neutralWaiters, waiters }: Queue): string =>
  waiters === undefined && neutral === 0
    ? `${joined},${garbled},${label}`
    : `${joined},${garbled},${label},${waiters?.chainStartedAt}:${waiters?.ids},${neutral},${neutralWaiters?.ids}`

const idOf = ({ by, byUntil, foreign, lock, queue }: Annotations): string =>
  `${lock},${by},${byUntil},${foreign},${idOfQueue(queue)}`

const snapshots = new Map<string, ObjectSnapshot>()

/** The object as the API server answers it. The same annotations give the very same snapshot. */
export const snapshot = (self: Annotations): ObjectSnapshot => {
  const id = idOf(self)
  const known = snapshots.get(id)
  if (known !== undefined) return known
  const made: ObjectSnapshot = {
    uid: "uid",
    resourceVersion: version,
    annotations: textsOf(self),
    labels: labelsOf(self.queue)
  }
  if (snapshots.size > 200_000) snapshots.clear()
  snapshots.set(id, made)
  return made
}

/** A snapshot in which only the queue matters. */
export const snapshotOfQueue = (queue: Queue): ObjectSnapshot =>
  snapshot({ lock: absent, by: nobody, byUntil: 0, foreign: 0, queue })

const labelsOf = (queue: Queue): ObjectSnapshot["labels"] =>
  queue.label === nobody ? {} : { [LockQueue.labelKey(keys[keyOf(queue, queue.label)])]: processOf(queue.label) }

const textsOf = (self: Annotations): Readonly<Record<string, string>> => {
  const { garbled, joined, neutralWaiters, waiters } = self.queue
  const key = keys[keyOf(self.queue, self.by)]
  const made: Record<string, string> = {}
  if (self.lock !== absent) made[key] = self.lock === malformed ? malformedText : expiryText(self.lock)
  if (self.by !== nobody) made[LockRecord.holderKey(key)] = `${holderId(self.by)}@${expiryText(self.byUntil)}`
  if (waiters !== undefined) made[LockQueue.queueKey(keys[0])] = waitersText(waiters)
  if (neutralWaiters !== undefined) made[LockQueue.queueKey(keys[1])] = waitersText(neutralWaiters)
  for (let index = 0; (joined + garbled) >> index > 0; index++) {
    const name = LockQueue.joinKey(keys[keyOf(self.queue, index)], holderId(index))
    if ((joined >> index) & 1) made[name] = joinText(index)
    if ((garbled >> index) & 1) made[name] = rubbishText
  }
  if (self.foreign !== 0) made[foreignKey] = String(self.foreign)
  return made
}

const readWaiters = new WeakMap<ObjectSnapshot, ReadonlyArray<number>>()

/** The contenders in the queue, as the library reads it: first those with Dex's key, then those with the neutral one. */
export const waitingIn = (self: Annotations): ReadonlyArray<number> => {
  const { joined, neutralWaiters, waiters: queued } = self.queue
  if (queued === undefined && neutralWaiters === undefined && joined === 0) return []
  const found = snapshot(self)
  const known = readWaiters.get(found)
  if (known !== undefined) return known
  const waiters = keys.flatMap((key) => LockQueue.fromAnnotations(key, found.annotations).waiters).map(indexOf)
  readWaiters.set(found, waiters)
  return waiters
}

export const sameWaiters = (a: Waiters | undefined, b: Waiters | undefined): boolean =>
  a === b ||
  (a !== undefined &&
    b !== undefined &&
    a.chainStartedAt === b.chainStartedAt &&
    a.ids.length === b.ids.length &&
    a.ids.every((id, place) => id === b.ids[place]))

export const sameQueue = (a: Queue, b: Queue): boolean =>
  a.joined === b.joined &&
  a.garbled === b.garbled &&
  a.label === b.label &&
  sameWaiters(a.waiters, b.waiters) &&
  sameWaiters(a.neutralWaiters, b.neutralWaiters)

/** Whether a write changed nothing. Then the resourceVersion stays as it is. */
export const same = (a: Annotations, b: Annotations): boolean =>
  a.lock === b.lock &&
  a.by === b.by &&
  a.byUntil === b.byUntil &&
  a.foreign === b.foreign &&
  sameQueue(a.queue, b.queue)

/** One tick on. */
export const waitersEarlier = (waiters: Waiters | undefined): Waiters | undefined =>
  waiters === undefined || waiters.chainStartedAt === absent
    ? waiters
    : { ...waiters, chainStartedAt: waiters.chainStartedAt - 1 }

/** One tick on. */
export const queueEarlier = (queue: Queue): Queue => {
  const waiters = waitersEarlier(queue.waiters)
  return waiters === queue.waiters ? queue : { ...queue, waiters }
}
