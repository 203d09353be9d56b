/**
 * How a write wakes the waiters that it lets in to a lock with permits. Pure.
 *
 * The process of each waiter watches a label for its own ID, and for `several`. So that a releaser need not know whose turn it is, the
 * waiters that come next are written down as turns, which the server moves forward. Turns and the label are advice.
 */
import * as LockQueue from "../LockQueue.ts"
import type { AnnotationGuardedPatch, MetadataPatch, ObjectSnapshot } from "../ObjectStore.ts"
import type { Permits, Placed } from "../PermitRecord.ts"

/** The line of a lock: the annotation from which its names derive, and its permits. */
interface Line {
  readonly key: string
  readonly permits: Permits
}

type Seen = Pick<ObjectSnapshot, "annotations" | "labels">

/** The value of the label that wakes the waiters of all processes: a write let several in. */
export const several = "several"

/** The process of a turn that is nobody's, and the value of the label that wakes nobody. */
export const nobody = "none"

/** What a write adds, to wake waiters. */
export interface Waking {
  readonly expect: { readonly hasLabels?: boolean }
  readonly patch: Partial<Omit<AnnotationGuardedPatch, "expect">>
}

/** Wakes these waiters by the label. */
export const labelling = ({ key }: Line, { labels }: Pick<Seen, "labels">, woken: ReadonlyArray<Placed>): Waking => {
  const processes = [...new Set(woken.map(({ holderId }) => LockQueue.processIdOf(holderId)))]
  const label = processes.length > 1 ? several : processes[0]
  return {
    expect: label === undefined ? {} : { hasLabels: Object.keys(labels).length > 0 },
    patch: label === undefined ? {} : { labels: { [LockQueue.labelKey(key)]: label } }
  }
}

/** Wakes nobody. As long as the label says `several`, each write is an event for all waiters. Those that it woke have heard of it. */
export const quieting = ({ key }: Line, { labels }: Pick<Seen, "labels">): Waking => {
  const label = LockQueue.labelKey(key)
  return labels[label] === several
    ? { expect: { hasLabels: true }, patch: { labels: { [label]: nobody } } }
    : { expect: {}, patch: {} }
}

/** How many of the waiters that come next are written down. */
export const turns = 16

/** With fewer waiters than this nobody writes them down, unless it waits again. */
export const fewest = 3

/** The name of the annotation with the process of a waiter that comes next, the first being 1. */
export const turnKey = (key: string, position: number): string => `${key}-turn-${position}`

const positions = Array.from({ length: turns }, (_, index) => index + 1)

/** The names of the annotations of all turns, in order. */
export const turnKeys = (key: string): ReadonlyArray<string> => positions.map((position) => turnKey(key, position))

/** Whether turns can be moved forward: all of them are there, and so is the label. */
export const hasTurns = ({ key, permits }: Line, { annotations, labels }: Seen): boolean =>
  !permits.shares && LockQueue.labelKey(key) in labels && turnKeys(key).every((name) => name in annotations)

/**
 * Has the server move the turns forward by as many as permits are `freed`, and name the first in the label. If the releaser's process waits
 * `again`, it comes after all others that wait. Where everybody does that, the number of waiters stays the same, and with it the last
 * turn.
 */
export const takingTurns = (
  { key }: Line,
  freed: number,
  waiting: number,
  again: { readonly holderId: string } | undefined
): Waking => {
  const label = LockQueue.labelKey(key)
  const moved = positions.filter((position) => position + freed <= turns)
  const last = Math.max(1, waiting - freed + 1)
  return {
    expect: { hasLabels: true },
    patch: {
      copies: [
        ...(freed === 1 ? [{ from: turnKey(key, 1), to: { label } }] : []),
        ...moved.map((position) => ({
          from: turnKey(key, position + freed),
          to: { annotation: turnKey(key, position) }
        }))
      ],
      annotations: {
        ...Object.fromEntries(positions.slice(moved.length).map((position) => [turnKey(key, position), nobody])),
        ...(again === undefined || last > turns ? {} : { [turnKey(key, last)]: LockQueue.processIdOf(again.holderId) })
      },
      ...(freed === 1 ? {} : { labels: { [label]: several } })
    }
  }
}

/** How many of the waiters are written down, the first of them without a gap; 0 if others are. */
export const turnsOf = (
  { key }: Line,
  { annotations }: Pick<Seen, "annotations">,
  waiters: ReadonlyArray<Placed>
): number => {
  const found = turnKeys(key).map((name) => annotations[name] ?? nobody)
  const end = found.indexOf(nobody)
  const known = end < 0 ? found : found.slice(0, end)
  const isRight = known.every((turn, index) => turn === LockQueue.processIdOf(waiters[index]?.holderId ?? ""))
  return isRight ? known.length : 0
}

/** The turns of these waiters to write down, on condition that nobody has taken one meanwhile; `undefined` if they are in order. */
export const newTurns = (
  line: Line,
  seen: Pick<Seen, "annotations">,
  waiters: ReadonlyArray<Placed>,
  fewest: number
): { readonly expect: Readonly<Record<string, string | boolean>>; readonly annotations: MetadataPatch } | undefined => {
  const { key, permits } = line
  if (permits.shares || waiters.length < fewest || turnsOf(line, seen, waiters) >= fewest) return undefined
  const due = waiters.map(({ holderId }) => LockQueue.processIdOf(holderId))
  return {
    expect: { [key]: permits.mark, [turnKey(key, 1)]: seen.annotations[turnKey(key, 1)] ?? false },
    annotations: Object.fromEntries(turnKeys(key).map((name, index) => [name, due[index] ?? nobody]))
  }
}
