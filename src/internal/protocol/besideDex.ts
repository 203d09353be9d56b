/** What is special about a wait beside Dex, which knows no queue. Pure. */
import * as LockProtocol from "../../LockProtocol.ts"
import { untilNextAsk } from "../time/secondTurn.ts"
import type { Acquisition, Phase, Seen, State } from "./acquisitionState.ts"
import type { Now } from "./answer.ts"

/** Whether the holder is most likely a Dex: it has no name. */
export const isDex = ({ expiry, holder }: Seen): boolean => expiry !== undefined && holder === undefined

/** The wait of a waiter that left the lock free, if a Dex came: it is longer, since more of them may wait. */
export const yieldingToDex = (state: LockProtocol.WaitState): LockProtocol.WaitState => ({
  ...state,
  until: state.until + LockProtocol.yieldToDexFor - LockProtocol.yieldFor,
  position: undefined
})

/**
 * When a waiter asks the server for the time next, in milliseconds on the monotonic clock.
 *
 * Dex breaks a lock within milliseconds of its expiry, and then keeps it until it expires again (a defect of Dex). So a waiter that
 * is the first to break it, too, asks the server for the time around the expiry. It asks once a millisecond at most.
 */
export const askTimeAt = (
  self: Acquisition,
  { requestedAt }: State,
  found: LockProtocol.WaitState,
  { clock, server }: Now
): number => {
  const delay = isFirstBesideDex(self, found) ? untilNextAsk(server, found.until) : undefined
  return delay === undefined
    ? Number.POSITIVE_INFINITY
    : Math.max(clock.monotonic + delay, requestedAt.monotonic + shortestAskInterval)
}

/** How far apart two questions for the time are at least, in milliseconds. Our choice. */
export const shortestAskInterval = 1

/** Whether a first waiter knows that the lock has expired, also without an answer: it loses no time by reading the object. */
export const isDueToBreak = (self: Acquisition, phase: Phase, { server }: Now): boolean =>
  (phase._tag === "Waiting" || phase._tag === "AskingTime") &&
  isFirstBesideDex(self, phase.state) &&
  server.earliest > phase.state.until

const isFirstBesideDex = ({ settings }: Acquisition, { position = 0, seen }: LockProtocol.WaitState): boolean =>
  settings.sharedWithDex && seen.expiry !== undefined && position === 0
