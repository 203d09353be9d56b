/** A write of the library in the world's numbers, and what the API server makes of it. */
import * as LockQueue from "../../src/LockQueue.ts"
import * as LockRecord from "../../src/LockRecord.ts"
import type { ConditionalPatch, MetadataPatch } from "../../src/ObjectStore.ts"
import * as wire from "./wire.ts"

/** What a write expects of the annotation of the queue, or makes of it. `undefined`: there is none. */
export type MaybeWaiters = "any" | wire.Waiters | undefined

/** The precondition of a write. A `lease` of `absent` and a label of `undefined` are no precondition. */
export interface Condition {
  readonly version: boolean
  readonly lease: number
  readonly by: number
  readonly hasHolder: boolean
  readonly waiters: MaybeWaiters
  readonly joined: number
  readonly garbled: number
  readonly hasLabel: boolean | undefined
}

/** What a write changes. `lock` and `label` are `kept` and `keptLabel` if it does not touch them. */
export interface Patch {
  readonly lock: number
  readonly by: number
  readonly waiters: MaybeWaiters
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
  hasHolder: false,
  waiters: "any",
  joined: 0,
  garbled: 0,
  hasLabel: undefined
}

export const onVersion: Condition = { ...unconditional, version: true }

const lockKey = wire.key
const holderKey = LockRecord.holderKey(wire.key)
const queueKey = LockQueue.queueKey(wire.key)
const labelKey = LockQueue.labelKey(wire.key)

/** The precondition of a library's write. */
export const conditionOf = (expect: ConditionalPatch["expect"]): Condition => {
  if ("resourceVersion" in expect) return onVersion
  const found = { ...unconditional, hasLabel: expect.hasLabels }
  for (const [key, value] of Object.entries(expect.annotations)) {
    if (key === holderKey) {
      if (value === true) found.hasHolder = true
      else {
        const { by, until } = wire.leaseOf(value as string)
        found.lease = until
        found.by = by
      }
    } else if (key === queueKey) found.waiters = typeof value === "string" ? wire.waitersOf(value) : undefined
    else if (key !== lockKey) {
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
    waiters: "any" as MaybeWaiters,
    clears: 0,
    joins: wire.nobody,
    label: keptLabel
  }
  for (const key in annotations) {
    const value = annotations[key]!
    if (key === lockKey) found.lock = value === null ? wire.absent : wire.tickOf(value)
    else if (key === holderKey) found.by = value === null ? wire.nobody : wire.leaseOf(value).by
    else if (key === queueKey) found.waiters = value === null ? undefined : wire.waitersOf(value)
    else {
      const index = wire.joinerOf(key)!
      if (value === null) found.clears |= 1 << index
      else found.joins = index
    }
  }
  const label = labels?.[labelKey]
  if (label !== undefined) found.label = label === null ? wire.nobody : wire.indexOfProcess(label)
  return found
}

/** Whether the write wakes a waiter: its label names a process. */
export const wakes = ({ label }: Patch): boolean => label !== wire.nobody && label !== keptLabel

/** Whether a precondition holds, except for the version. */
export const holds = (condition: Condition, self: wire.Annotations): boolean => {
  const { garbled, joined, label, waiters } = self.queue
  return (
    (condition.lease === wire.absent ||
      (self.lock === condition.lease && self.byUntil === condition.lease && self.by === condition.by)) &&
    (!condition.hasHolder || self.by !== wire.nobody) &&
    (condition.waiters === "any" || wire.sameWaiters(condition.waiters, waiters)) &&
    (joined & condition.joined) === condition.joined &&
    (garbled & condition.garbled) === condition.garbled &&
    (condition.hasLabel === undefined || condition.hasLabel === (label !== wire.nobody))
  )
}

/** A patch touches what it names. `whole` replaces all annotations, as Dex does: of the queue only the label stays. */
export const apply = (self: wire.Annotations, patch: Patch, whole: boolean): wire.Annotations => {
  const { garbled, joined, label, waiters } = self.queue
  const joins = patch.joins === wire.nobody ? 0 : 1 << patch.joins
  const queue: wire.Queue = whole
    ? { ...wire.emptyQueue, label }
    : {
        waiters: patch.waiters === "any" ? waiters : patch.waiters,
        joined: (joined & ~patch.clears) | joins,
        garbled: garbled & ~patch.clears & ~joins,
        label: patch.label === keptLabel ? label : patch.label
      }
  const foreign = whole ? 0 : self.foreign
  return patch.lock === kept
    ? { ...self, foreign, queue }
    : { lock: patch.lock, by: patch.by, byUntil: patch.by === wire.nobody ? 0 : patch.lock, foreign, queue }
}

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
