/**
 * Processes that seem to be gone, since their session has ended. Their waiters are most likely gone as well, and each of them would keep a
 * lock that is handed to it for a hand-over lease. So hand-overs pass over them.
 *
 * A process that lives joins the queue again. A waiter that is in a queue after it was passed over shows that its process lives.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as LockQueue from "../../LockQueue.ts"
import * as boundedMap from "../boundedMap.ts"
import * as ClockReading from "../time/clockReading.ts"

/** The processes that seem to be gone, as one layer knows them. */
export interface Absentees {
  /** Notes that the session of this holder has ended. */
  readonly note: (holderId: string | undefined) => void
  /** Whether a hand-over passes over this waiter. */
  readonly includes: (waiter: string) => boolean
}

/** For how long a process counts as gone, in milliseconds, and how many are remembered. Our choice. */
export const forgetAfter = 300_000
export const maxRemembered = 1000

/** After how long a waiter that is still in the queue has joined it again, in milliseconds: a hand-over may need several writes. Our choice. */
export const joinedAgainAfter = 1000

/** Nobody is gone yet. */
export const make: Effect.Effect<Absentees> = Effect.map(Clock.Clock, (clock) => {
  const notedAt = boundedMap.make<string, number>(maxRemembered)
  const passedAt = boundedMap.make<string, number>(maxRemembered)
  return {
    note: (holderId) => {
      if (holderId !== undefined) notedAt.set(LockQueue.processIdOf(holderId), ClockReading.monotonic(clock))
    },
    includes: (waiter) => {
      const process = LockQueue.processIdOf(waiter)
      const noted = notedAt.get(process)
      if (noted === undefined) return false
      const now = ClockReading.monotonic(clock)
      const passed = passedAt.get(waiter) ?? now
      if (now - noted > forgetAfter || now - passed > joinedAgainAfter) {
        notedAt.delete(process)
        return false
      }
      passedAt.set(waiter, passed)
      return true
    }
  }
})
