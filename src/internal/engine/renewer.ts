/**
 * Renews all leases that a process holds, and ends those that run out.
 *
 * One set of timers serves them all. A lease that is released before its first renewal costs one timer.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { Due, Timer } from "../time/timerHeap.ts"
import type { Timers } from "../time/timers.ts"

/**
 * A lease to keep. Times are in milliseconds.
 *
 * - `remaining`: how long it is still valid.
 * - `renewIn`: when to renew it first; `undefined` if it is not renewed.
 * - `renew`: renews it once, and returns when to renew it next; `undefined` if it is lost, or need not be kept any more.
 * - `expire`: run once, when it has run out. `broke`: called if `renew` dies.
 * - `fork`: runs an effect beside whatever runs.
 */
export interface Renewable {
  readonly remaining: () => number
  readonly renewIn: number | undefined
  readonly renew: Effect.Effect<number | undefined>
  readonly expire: Effect.Effect<void>
  readonly broke: (cause: Cause.Cause<never>) => Effect.Effect<void>
  readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
}

/** A lease that is kept until it is stopped. A renewal that is under way is interrupted then. */
export interface Kept {
  readonly stop: Effect.Effect<void>
}

/** Keeps leases. */
export interface Renewer {
  readonly keep: (lease: Renewable) => Kept
}

/** Makes the renewer of a process. */
export const make = (timers: Timers): Renewer => ({ keep: (lease) => new Keeping(timers, lease) })

class Keeping implements Kept, Due {
  readonly #timers: Timers
  readonly #lease: Renewable
  #timer: Timer | undefined
  #isForRenewal = false
  #renewal: Fiber.Fiber<void> | undefined
  #isOver = false

  constructor(timers: Timers, lease: Renewable) {
    this.#timers = timers
    this.#lease = lease
    this.#arm(lease.renewIn)
  }

  get stop(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#isOver = true
      this.#cancel()
      return this.#renewal === undefined ? Effect.void : Fiber.interrupt(this.#renewal)
    })
  }

  // At the next renewal, or at the end of the lease if that comes first.
  #arm(renewIn: number | undefined): void {
    const remaining = this.#lease.remaining()
    const isForRenewal = renewIn !== undefined && renewIn < remaining
    this.#isForRenewal = isForRenewal
    this.#timer = this.#timers.schedule(Math.max(shortestTimer, isForRenewal ? renewIn : remaining), this)
  }

  fire(): void {
    if (this.#lease.remaining() <= 0) this.#expire()
    else if (this.#isForRenewal) this.#renew()
    else this.#arm(undefined)
  }

  #cancel(): void {
    this.#timers.cancel(this.#timer)
  }

  #expire(): void {
    this.#isOver = true
    this.#renewal?.interruptUnsafe()
    this.#lease.fork(this.#lease.expire)
  }

  // A lease can run out while its renewal hangs.
  #renew(): void {
    const renewal = this.#lease.fork(
      Effect.matchCauseEffect(this.#lease.renew, {
        onSuccess: (next) =>
          Effect.sync(() => {
            this.#renewal = undefined
            this.#cancel()
            if (next !== undefined && !this.#isOver) this.#arm(next)
          }),
        onFailure: (cause) =>
          Cause.hasInterruptsOnly(cause)
            ? Effect.void
            : Effect.andThen(
                this.#lease.broke(cause),
                Effect.sync(() => this.#cancel())
              )
      })
    )
    if (renewal.pollUnsafe() !== undefined) return
    this.#renewal = renewal
    this.#arm(undefined)
  }
}

// The rest of a lease can be shorter than the resolution of a clock, and than what timers take for due. In milliseconds.
const shortestTimer = 0.002
