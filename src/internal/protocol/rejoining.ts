/** Joining the queue again after a process that took over from an expired holder has emptied it. Pure. */
import type { PendingGrant, State } from "./acquisitionState.ts"

/**
 * How much later each waiter joins again than the waiter that was before it, in milliseconds, if a process that took over has emptied
 * the queue: in the old order, and not all at once. Our choice.
 */
export const rejoinPause = 5

/**
 * For how long a holder that took waiters out of the queue keeps the lock at least, in milliseconds: the living among them join
 * again, and get it in their order. `latency` is how long the answer to its own write took. Our choice.
 */
export const rejoinTime = ({ displaced }: PendingGrant, latency: number): number =>
  displaced === 0 ? 0 : rejoinMargin.atLeast + displaced * rejoinPause + rejoinMargin.answers * latency

/** What `rejoinTime` allows for a watch event and an answer. Our choice. */
export const rejoinMargin = { atLeast: 50, answers: 3 }

/** The position in the queue that a waiter had until the event that shows it without one. */
export const lostPosition = ({ phase }: State): number => (phase._tag === "Waiting" ? (phase.state.position ?? 0) : 0)
