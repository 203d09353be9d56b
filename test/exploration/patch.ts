/** A write of the library in the world's numbers, and what the API server makes of it. */
import * as LockQueue from "../../src/LockQueue.ts"
import * as LockRecord from "../../src/LockRecord.ts"
import type { ConditionalPatch, MetadataPatch } from "../../src/ObjectStore.ts"
import * as wire from "./wire.ts"

/** What a write expects of the annotation of the queue, or makes of it. `undefined`: there is none. */
export type MaybeWaiters = "any" | wire.Waiters | undefined

/**
 * The precondition of a write. A `lease` of `absent` and a label of `undefined` are no precondition. `holder` has a bit for each key under
 * which there must be a holder that has a name.
 */
export interface Condition {
  readonly version: boolean
  readonly lease: number
  readonly by: number
  readonly holder: number
  readonly waiters: MaybeWaiters
  readonly neutralWaiters: MaybeWaiters
  readonly joined: number
  readonly garbled: number
  readonly hasLabel: boolean | undefined
}

/**
 * What a write changes. `lock` and `label` are `kept` and `keptLabel` if it does not touch them. `removes` has a bit for each key whose
 * lease it removes.
 */
export interface Patch {
  readonly lock: number
  readonly by: number
  readonly removes: number
  readonly waiters: MaybeWaiters
  readonly neutralWaiters: MaybeWaiters
  readonly clears: number
  readonly joins: number
  readonly label: number
}

/** Instead of an expiry or a label that a write does not touch. */
export const kept = -102
export const keptLabel = 14

const unconditional: Condition = {
  version: false,
  lease: wire.absent,
  by: wire.nobody,
  holder: 0,
  waiters: "any",
  neutralWaiters: "any",
  joined: 0,
  garbled: 0,
  hasLabel: undefined
}

export const onVersion: Condition = { ...unconditional, version: true }

const lockKeys: ReadonlyArray<string> = wire.keys
const holderKeys = lockKeys.map(LockRecord.holderKey)
const queueKeys = lockKeys.map(LockQueue.queueKey)
const labelKeys = lockKeys.map(LockQueue.labelKey)

/** The precondition of a library's write. */
export const conditionOf = (expect: ConditionalPatch["expect"]): Condition => {
  if ("resourceVersion" in expect) return onVersion
  const found = { ...unconditional, hasLabel: expect.hasLabels }
  for (const [key, value] of Object.entries(expect.annotations)) {
    if (holderKeys.includes(key)) {
      if (value === true) found.holder |= 1 << holderKeys.indexOf(key)
      else {
        const { by, until } = wire.leaseOf(value as string)
        found.lease = until
        found.by = by
      }
    } else if (queueKeys.includes(key)) {
      const waiters = typeof value === "string" ? wire.waitersOf(value) : undefined
      found[queueOf(key)] = waiters
    } else if (!lockKeys.includes(key)) {
      const index = wire.joinerOf(key)!
      if (value === wire.joinText(index)) found.joined |= 1 << index
      else found.garbled |= 1 << index
    }
  }
  return found
}

/** What a library's write changes. */
export const patchOf = (annotations: MetadataPatch, labels: MetadataPatch | undefined): Patch => {
  const found = {
    lock: kept,
    by: wire.nobody,
    removes: 0,
    waiters: "any" as MaybeWaiters,
    neutralWaiters: "any" as MaybeWaiters,
    clears: 0,
    joins: wire.nobody,
    label: keptLabel
  }
  for (const key in annotations) {
    const value = annotations[key]!
    if (lockKeys.includes(key)) {
      if (value === null) found.removes |= 1 << lockKeys.indexOf(key)
      else found.lock = wire.tickOf(value)
    } else if (holderKeys.includes(key)) {
      if (value !== null) found.by = wire.leaseOf(value).by
    } else if (queueKeys.includes(key)) {
      found[queueOf(key)] = value === null ? undefined : wire.waitersOf(value)
    } else {
      const index = wire.joinerOf(key)!
      if (value === null) found.clears |= 1 << index
      else found.joins = index
    }
  }
  if (found.removes !== 0 && found.lock === kept) found.lock = wire.absent
  for (const name of labelKeys) {
    const label = labels?.[name]
    if (typeof label === "string") found.label = wire.indexOfProcess(label)
    else if (label === null && found.label === keptLabel) found.label = wire.nobody
  }
  return found
}

const queueOf = (key: string): "waiters" | "neutralWaiters" => (key === queueKeys[0] ? "waiters" : "neutralWaiters")

/** Whether the write wakes a waiter: its label names a process. */
export const wakes = ({ label }: Patch): boolean => label !== wire.nobody && label !== keptLabel

/** Whether a precondition holds, except for the version. */
export const holds = (condition: Condition, self: wire.Annotations): boolean => {
  const { garbled, joined, label, neutralWaiters, waiters } = self.queue
  return (
    (condition.lease === wire.absent ||
      (self.lock === condition.lease && self.byUntil === condition.lease && self.by === condition.by)) &&
    (condition.holder === 0 ||
      (self.by !== wire.nobody && condition.holder === 1 << wire.keyOf(self.queue, self.by))) &&
    (condition.waiters === "any" || wire.sameWaiters(condition.waiters, waiters)) &&
    (condition.neutralWaiters === "any" || wire.sameWaiters(condition.neutralWaiters, neutralWaiters)) &&
    (joined & condition.joined) === condition.joined &&
    (garbled & condition.garbled) === condition.garbled &&
    (condition.hasLabel === undefined || condition.hasLabel === (label !== wire.nobody))
  )
}

/** A patch touches what it names. `whole` replaces all annotations, as Dex does: of the queue only the label stays. */
export const apply = (self: wire.Annotations, patch: Patch, whole: boolean): wire.Annotations => {
  const { garbled, joined, label, neutral, neutralWaiters, waiters } = self.queue
  const joins = patch.joins === wire.nobody ? 0 : 1 << patch.joins
  const queue: wire.Queue = whole
    ? { ...wire.emptyQueue, neutral, label }
    : {
        neutral,
        neutralWaiters: patch.neutralWaiters === "any" ? neutralWaiters : patch.neutralWaiters,
        waiters: patch.waiters === "any" ? waiters : patch.waiters,
        joined: (joined & ~patch.clears) | joins,
        garbled: garbled & ~patch.clears & ~joins,
        label: patch.label === keptLabel ? label : patch.label
      }
  const foreign = whole ? 0 : self.foreign
  return patch.lock === kept || (patch.lock === wire.absent && leavesLease(self, patch, whole))
    ? { ...self, foreign, queue }
    : { lock: patch.lock, by: patch.by, byUntil: patch.by === wire.nobody ? 0 : patch.lock, foreign, queue }
}

const leavesLease = ({ by, lock, queue }: wire.Annotations, { removes }: Patch, whole: boolean): boolean =>
  lock !== wire.absent && !whole && ((removes >> wire.keyOf(queue, by)) & 1) === 0

/** Whether a patch writes a lease under one key and leaves one under the other. The world has room for one of them only. */
export const leavesTwoLeases = (self: wire.Annotations, patch: Patch, whole: boolean): boolean =>
  patch.lock !== kept &&
  patch.lock !== wire.absent &&
  wire.keyOf(self.queue, patch.by) !== wire.keyOf(self.queue, self.by) &&
  leavesLease(self, patch, whole)

/** One tick on. */
export const conditionEarlier = (condition: Condition): Condition =>
  condition.lease === wire.absent && !hasTime(condition.waiters)
    ? condition
    : {
        ...condition,
        lease: condition.lease === wire.absent ? wire.absent : condition.lease - 1,
        waiters: maybeEarlier(condition.waiters)
      }

/** One tick on. */
export const patchEarlier = (patch: Patch): Patch => ({
  ...patch,
  lock: patch.lock <= wire.absent ? patch.lock : patch.lock - 1,
  waiters: maybeEarlier(patch.waiters)
})

const maybeEarlier = (waiters: MaybeWaiters): MaybeWaiters =>
  waiters === "any" ? waiters : wire.waitersEarlier(waiters)

const hasTime = (waiters: MaybeWaiters): boolean =>
  waiters !== "any" && waiters !== undefined && waiters.chainStartedAt !== wire.absent
