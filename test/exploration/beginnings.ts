/** What may have happened before an exploration begins. */
import type { Step } from "./search.ts"

export const acquires = (index: number): ReadonlyArray<Step> => [
  ["reads", index],
  ["sends an acquiring write", index],
  ["the server works on the write of", index],
  ["is granted the lock", index]
]

export const queues = (index: number): ReadonlyArray<Step> => [
  ["reads", index],
  ["joins the queue", index],
  ["the server works on the write of", index],
  ["waits in the queue", index]
]

/** It renews its lease, and so hears of waiters that have joined. */
export const renews = (index: number): ReadonlyArray<Step> => [
  ["sends a renewal", index],
  ["the server works on the write of", index],
  ["has renewed", index]
]

export const handsOver = (index: number): ReadonlyArray<Step> => [
  ["sends its release", index],
  ["the server works on the write of", index],
  ["has released", index]
]

export const claims = (index: number): ReadonlyArray<Step> => [
  ["reads", index],
  ["claims the lock", index]
]

/** It commits, and waits for the answer. */
export const commits = (index: number): ReadonlyArray<Step> => [
  ["sends a commit", index],
  ["the server works on the write of", index]
]

export const timePasses: ReadonlyArray<Step> = [["time passes", 15]]

/** A holder that knows of one waiter. */
export const isAwaited: ReadonlyArray<Step> = [...acquires(0), ...queues(1), ...renews(0)]

/** A holder that knows of two waiters. */
export const isAwaitedByTwo: ReadonlyArray<Step> = [...acquires(0), ...queues(1), ...queues(2), ...renews(0)]

/**
 * With Dex: a lock that has gone from hand to hand for more than a second, from the first contender to the second, is left free
 * although others wait for it.
 */
export const isLeftFree = (...others: ReadonlyArray<number>): ReadonlyArray<Step> => [
  ...acquires(0),
  ...queues(1),
  ...others.flatMap(queues),
  ...renews(0),
  ...handsOver(0),
  ...claims(1),
  ...timePasses,
  ...renews(1),
  ...timePasses,
  ...handsOver(1)
]

/** A holder that knows of three waiters, of which the first two have died. */
export const twoHaveDied: ReadonlyArray<Step> = [
  ...acquires(0),
  ...queues(1),
  ...queues(2),
  ...queues(3),
  ...renews(0),
  ["crashes", 1],
  ["crashes", 2]
]

/** It gives up, and is about to leave the queue. */
export const leaves = (index: number): ReadonlyArray<Step> => [
  ["gives up waiting", index],
  ["reads what is left of its own and leaves the queue", index]
]
