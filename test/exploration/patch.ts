/** A write of the library in the world's numbers, and what the API server makes of it. */
import * as LockQueue from "../../src/LockQueue.ts"
import * as LockRecord from "../../src/LockRecord.ts"
import type { MetadataPatch, ConditionalPatch } from "../../src/ObjectStore.ts"
import * as wire from "./wire.ts"

/** What is expected of the line, or is to become of it: `undefined` for a line that is not there. */
export type MaybeLine = "any" | wire.Line | undefined

/** The condition of a write. A `lease` of `absent` is not a condition, nor is a label of `undefined`. */
export interface Condition {
  readonly version: boolean
  readonly lease: number
  readonly by: number
  readonly hasHolder: boolean
  readonly line: MaybeLine
  readonly arrived: number
  readonly forged: number
  readonly hasLabel: boolean | undefined
}

/** What a write changes. `lock` and `label` are `kept` where they stay as they are. */
export interface Patch {
  readonly lock: number
  readonly by: number
  readonly line: MaybeLine
  readonly clears: number
  readonly arrives: number
  readonly label: number
}

/** In the place of an expiry or a label that a write does not touch. */
export const kept = -102
export const keptLabel = 14

export const unconditional: Condition = {
  version: false,
  lease: wire.absent,
  by: wire.nobody,
  hasHolder: false,
  line: "any",
  arrived: 0,
  forged: 0,
  hasLabel: undefined
}

export const onVersion: Condition = { ...unconditional, version: true }

const lockKey = wire.key
const holderKey = LockRecord.holderKey(wire.key)
const lineKey = LockQueue.queueKey(wire.key)
const labelKey = LockQueue.labelKey(wire.key)

/** The condition of a library's write. */
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
    } else if (key === lineKey) found.line = typeof value === "string" ? wire.lineOf(value) : undefined
    else if (key !== lockKey) {
      const index = wire.arrivalOf(key)!
      if (value === wire.arrivalText(index)) found.arrived |= 1 << index
      else found.forged |= 1 << index
    }
  }
  return found
}

/** What a library's write changes. */
export const patchOf = (annotations: MetadataPatch, labels: MetadataPatch | undefined): Patch => {
  const found = {
    lock: kept,
    by: wire.nobody,
    line: "any" as MaybeLine,
    clears: 0,
    arrives: wire.nobody,
    label: keptLabel
  }
  for (const key in annotations) {
    const value = annotations[key]!
    if (key === lockKey) found.lock = value === null ? wire.absent : wire.tickOf(value)
    else if (key === holderKey) found.by = value === null ? wire.nobody : wire.leaseOf(value).by
    else if (key === lineKey) found.line = value === null ? undefined : wire.lineOf(value)
    else {
      const index = wire.arrivalOf(key)!
      if (value === null) found.clears |= 1 << index
      else found.arrives = index
    }
  }
  const label = labels?.[labelKey]
  if (label !== undefined) found.label = label === null ? wire.nobody : wire.labelled(label)
  return found
}

/** Whether a condition holds, but for the version. */
export const holds = (condition: Condition, self: wire.Annotations): boolean => {
  const { arrived, forged, label, line } = self.queue
  return (
    (condition.lease === wire.absent ||
      (self.lock === condition.lease && self.byUntil === condition.lease && self.by === condition.by)) &&
    (!condition.hasHolder || self.by !== wire.nobody) &&
    (condition.line === "any" || wire.sameLine(condition.line, line)) &&
    (arrived & condition.arrived) === condition.arrived &&
    (forged & condition.forged) === condition.forged &&
    (condition.hasLabel === undefined || condition.hasLabel === (label !== wire.nobody))
  )
}

/** A patch touches what it names; `whole` replaces all annotations, as Dex does: of the queue only the label is left. */
export const apply = (self: wire.Annotations, patch: Patch, whole: boolean): wire.Annotations => {
  const { arrived, forged, label, line } = self.queue
  const arrives = patch.arrives === wire.nobody ? 0 : 1 << patch.arrives
  const queue: wire.Queue = whole
    ? { ...wire.emptyQueue, label }
    : {
        line: patch.line === "any" ? line : patch.line,
        arrived: (arrived & ~patch.clears) | arrives,
        forged: forged & ~patch.clears & ~arrives,
        label: patch.label === keptLabel ? label : patch.label
      }
  const foreign = whole ? 0 : self.foreign
  return patch.lock === kept
    ? { ...self, foreign, queue }
    : { lock: patch.lock, by: patch.by, byUntil: patch.by === wire.nobody ? 0 : patch.lock, foreign, queue }
}

/** One tick on. */
export const conditionEarlier = (condition: Condition): Condition =>
  condition.lease === wire.absent && !hasTime(condition.line)
    ? condition
    : {
        ...condition,
        lease: condition.lease === wire.absent ? wire.absent : condition.lease - 1,
        line: maybeEarlier(condition.line)
      }

/** One tick on. */
export const patchEarlier = (patch: Patch): Patch => ({
  ...patch,
  lock: patch.lock <= wire.absent ? patch.lock : patch.lock - 1,
  line: maybeEarlier(patch.line)
})

const maybeEarlier = (line: MaybeLine): MaybeLine => (line === "any" ? line : wire.lineEarlier(line))

const hasTime = (line: MaybeLine): boolean => line !== "any" && line !== undefined && line.since !== wire.absent
