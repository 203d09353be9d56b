/**
 * Renews all leases that a process holds, and ends those that run out.
 *
 * One set of timers serves them all. A lease that is released before its first renewal costs one timer.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { Timers } from "../time/timers.ts"

/**
 * A lease to keep. Times are in milliseconds.
 *
 * - `remaining`: how long it is still valid.
 * - `renewIn`: when to renew it first; `undefined` if it is not renewed.
 * - `renew`: renews it once, and returns when to renew it next; `undefined` if it is lost.
 * - `expire`: called once, when it has run out. `broke`: called if `renew` dies.
 * - `onGone`: listens for the deletion of the object, and returns how to stop listening. `verify` runs when it is deleted.
 */
export interface Renewable {
  readonly remaining: () => number
  readonly renewIn: number | undefined
  readonly renew: Effect.Effect<number | undefined>
  readonly expire: Effect.Effect<void>
  readonly broke: (cause: Cause.Cause<never>) => Effect.Effect<void>
  readonly onGone: (notify: () => void) => () => void
  readonly verify: Effect.Effect<void>
}

/** Keeps leases. */
export interface Renewer {
  /** Keeps a lease until the returned function is called. A renewal that is under way is interrupted then. */
  readonly keep: (lease: Renewable) => Effect.Effect<Effect.Effect<void>>
}

/** Makes the renewer of a process. */
export const make = (timers: Timers): Renewer => ({
  keep: (lease) =>
    Effect.contextWith((context) => {
      const fork = Effect.runForkWith(context)
      let cancel = () => {}
      let renewal: Fiber.Fiber<void> | undefined
      let isOver = false

      // At the next renewal, or at the end of the lease if that comes first.
      const arm = (renewIn: number | undefined) => {
        const remaining = lease.remaining()
        const isRenewal = renewIn !== undefined && renewIn < remaining
        cancel = timers.schedule(Math.max(shortestTimer, isRenewal ? renewIn : remaining), () => {
          if (lease.remaining() <= 0) expire()
          else if (isRenewal) renew()
          else arm(undefined)
        })
      }

      const expire = () => {
        isOver = true
        renewal?.interruptUnsafe()
        fork(lease.expire)
      }

      // A lease can run out while its renewal hangs.
      const renew = () => {
        renewal = fork(
          Effect.matchCauseEffect(lease.renew, {
            onSuccess: (next) =>
              Effect.sync(() => {
                renewal = undefined
                cancel()
                if (next !== undefined && !isOver) arm(next)
              }),
            onFailure: (cause) =>
              Cause.hasInterruptsOnly(cause) ? Effect.void : Effect.andThen(lease.broke(cause), Effect.sync(cancel))
          })
        )
        if (renewal?.pollUnsafe() === undefined) arm(undefined)
      }

      const stopListening = lease.onGone(() => {
        if (!isOver) fork(lease.verify)
      })

      arm(lease.renewIn)
      return Effect.succeed(
        Effect.suspend(() => {
          isOver = true
          cancel()
          stopListening()
          return renewal === undefined ? Effect.void : Fiber.interrupt(renewal)
        })
      )
    })
})

// The rest of a lease can be shorter than the resolution of a clock. In milliseconds.
const shortestTimer = 0.001
