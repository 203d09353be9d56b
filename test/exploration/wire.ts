/**
 * The world's numbers and the library's texts, both ways.
 *
 * Times are ticks of one second **relative to the present**: the present is always 0, and passing time makes every
 * number smaller. So states that differ only in when they happen are one state.
 */
import { dexKey } from "../../src/LockPolicy.ts"
import * as LockRecord from "../../src/LockRecord.ts"
import type { Changes } from "../../src/ObjectStore.ts"

/** The annotations of the object: expiry of the lock, whom `-holder` names and with which expiry, a stranger's value. */
export interface Annotations {
  readonly lock: number
  readonly by: number
  readonly byUntil: number
  readonly foreign: number
}

/** In the place of an expiry: the annotation is not there, or is no time. */
export const absent = -100
export const malformed = -101

/** In the place of a contender. */
export const nobody = 15

const present = Date.UTC(2026, 10, 24, 10, 20)
const foreignKey = "example.com/stranger"
const malformedText = "soon"

/** A tick in milliseconds since 1970. */
export const millis = (tick: number): number => present + tick * 1000

/** The name under which a contender holds. */
export const holderName = (index: number): string => `contender-${index}`

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

/** The expiry of a tick as it is written. */
export const expiryText = memo((tick) => LockRecord.expiryAt(millis(tick)))

const ticks = new Map<string, number>(Array.from({ length: 161 }, (_, index) => [expiryText(index - 80), index - 80]))

/** The tick of an expiry that the library wrote. */
export const tickOf = (expiry: string): number => {
  const tick = ticks.get(expiry)
  if (tick === undefined) throw new Error(`no tick of this world: ${expiry}`)
  return tick
}

const numbered = (self: Annotations): number =>
  (((self.lock + 128) * 16 + self.by) * 256 + self.byUntil + 128) * 4 + self.foreign

const texts = new Map<number, Readonly<Record<string, string>>>()

/** As the API server has them. */
export const toTexts = (self: Annotations): Readonly<Record<string, string>> => {
  const id = numbered(self)
  const known = texts.get(id)
  if (known !== undefined) return known
  const made: Record<string, string> = {}
  if (self.lock !== absent) made[dexKey] = self.lock === malformed ? malformedText : expiryText(self.lock)
  if (self.by !== nobody) {
    const lease = { holder: holderName(self.by), expiry: expiryText(self.byUntil) }
    Object.assign(made, { [holderKey]: LockRecord.toAnnotations(dexKey, lease)[holderKey] })
  }
  if (self.foreign !== 0) made[foreignKey] = String(self.foreign)
  texts.set(id, made)
  return made
}

const holderKey = LockRecord.holderKey(dexKey)

const fromTexts = (found: Readonly<Record<string, string>>): Annotations => {
  const lock = found[dexKey]
  const holder = found[holderKey]
  const mark = holder?.indexOf("@") ?? 0
  return {
    lock: lock === undefined ? absent : lock === malformedText ? malformed : tickOf(lock),
    by: holder === undefined ? nobody : Number(holder.slice("contender-".length, mark)),
    byUntil: holder === undefined ? 0 : tickOf(holder.slice(mark + 1)),
    foreign: Number(found[foreignKey] ?? 0)
  }
}

const records = new Map<number, LockRecord.LockRecord>()

/** As the library reads them. */
export const toRecord = (self: Annotations): LockRecord.LockRecord => {
  const id = numbered(self)
  const known = records.get(id)
  if (known !== undefined) return known
  const made = LockRecord.fromAnnotations(dexKey, toTexts(self))
  records.set(id, made)
  return made
}

/** Whether the condition of a write holds that expects a lease to stand. */
export const stands = (self: Annotations, holder: string, until: number): boolean => {
  const found = toTexts(self)
  const expected = LockRecord.toAnnotations(dexKey, { holder, expiry: expiryText(until) })
  return Object.keys(expected).every((key) => found[key] === expected[key])
}

/** What a lease writes. */
export const leaseChanges = (holder: string, until: number): Changes =>
  LockRecord.toAnnotations(dexKey, { holder, expiry: expiryText(until) })

/** What a release writes. */
export const removal: Changes = LockRecord.removal(dexKey)

/** What Dex writes: the only annotation there will be. */
export const dexChanges = (until: number): Changes => ({ [dexKey]: expiryText(until) })

/** A patch touches what it names; a PUT (`whole`) leaves nothing else. */
export const apply = (self: Annotations, changes: Changes, whole: boolean): Annotations => {
  const next: Record<string, string> = whole ? {} : { ...toTexts(self) }
  for (const [key, value] of Object.entries(changes)) {
    if (value === null) delete next[key]
    else next[key] = value
  }
  return fromTexts(next)
}

/** Whether a write changed nothing: then the resourceVersion stays as it is. */
export const same = (a: Annotations, b: Annotations): boolean => numbered(a) === numbered(b)
