/**
 * A vandal meddles with the queue: everything that an ignorant writer may do. It leaves the lock itself alone, since a forged
 * lock is a lock.
 */
import * as wire from "./wire.ts"
import type { World } from "./world.ts"

/**
 * The queues that a vandal may write in place of this one, and the contenders that it puts there behind their backs (bits of
 * `litter`).
 */
export const forgeries = (world: World): ReadonlyArray<readonly [what: string, queue: wire.Queue, litter: number]> => {
  const { actors, annotations } = world
  const { queue } = annotations
  const { waiters } = queue
  const ids = (...ids: ReadonlyArray<number>): wire.Waiters => ({ chainStartedAt: wire.absent, ids })
  const found: Array<readonly [string, wire.Queue, number]> = [
    ["garbles the queue", { ...queue, waiters: ids(wire.rubbish) }, 0],
    ["puts a ghost at the head of the queue", { ...queue, waiters: ids(wire.ghost, ...(waiters?.ids ?? [])) }, 0],
    ["wipes queue, joins and label", { ...wire.emptyQueue, neutral: queue.neutral }, 0]
  ]
  if (waiters !== undefined) found.push(["deletes the queue", { ...queue, waiters: undefined }, 0])
  if (queue.joined > 0) {
    found.push(["deletes the joins", { ...queue, joined: 0 }, 0])
    found.push(["garbles the joins", { ...queue, joined: 0, garbled: queue.joined }, 0])
  }
  found.push(["sets the label", { ...queue, label: queue.label === wire.nobody ? wire.ghost : wire.nobody }, 0])
  actors.forEach(({ kind }, index) => {
    if (kind !== "kubelock") return
    found.push(["forges the queue", { ...queue, waiters: ids(index) }, 1 << index])
    found.push(["forges a join", { ...queue, joined: queue.joined | (1 << index) }, 1 << index])
  })
  return found.filter(([, forged]) => !wire.sameQueue(forged, queue))
}
