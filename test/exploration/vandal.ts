/**
 * Who meddles with the queue: everything that anybody may write who knows no better. The lock itself is left alone, for
 * whoever forges that has the lock.
 */
import * as wire from "./wire.ts"
import type { World } from "./world.ts"

/** The queues that may be in the place of this one. A contender that is put there by a forger is no litter of its own. */
export const forgeries = (world: World): ReadonlyArray<readonly [what: string, queue: wire.Queue, litter: number]> => {
  const { actors, annotations } = world
  const { queue } = annotations
  const { line } = queue
  const found: Array<readonly [string, wire.Queue, number]> = [
    ["garbles the line", { ...queue, line: { since: wire.absent, names: [wire.rubbish] } }, 0],
    [
      "puts somebody who is not there at the head of the line",
      { ...queue, line: { since: wire.absent, names: [wire.ghost, ...(line?.names ?? [])] } },
      0
    ],
    ["wipes the queue", wire.emptyQueue, 0]
  ]
  if (line !== undefined) found.push(["deletes the line", { ...queue, line: undefined }, 0])
  if (queue.arrived > 0) {
    found.push(["deletes the arrivals", { ...queue, arrived: 0 }, 0])
    found.push(["garbles the arrivals", { ...queue, arrived: 0, forged: queue.arrived }, 0])
  }
  found.push(["sets the label", { ...queue, label: queue.label === wire.nobody ? wire.ghost : wire.nobody }, 0])
  actors.forEach(({ kind }, index) => {
    if (kind !== "kubelock") return
    found.push(["forges the line", { ...queue, line: { since: wire.absent, names: [index] } }, 1 << index])
    found.push(["forges an arrival", { ...queue, arrived: queue.arrived | (1 << index) }, 1 << index])
  })
  return found.filter(([, forged]) => !wire.sameQueue(forged, queue))
}
