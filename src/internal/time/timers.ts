/**
 * The timers of a process.
 *
 * Nearly every timer is cancelled before it fires, so scheduling one must be cheap. One fiber sleeps for all timers
 * until the next one is due. It ends when it wakes and no timer is pending.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as ClockReading from "./clockReading.ts"
import { type Due, type Timer, TimerHeap } from "./timerHeap.ts"

/**
 * The timers of a process. All times are in milliseconds on the monotonic clock.
 *
 * A timer is an object, and so is what it fires: each lock that is held has one, and two functions would take more memory.
 */
export interface Timers {
  /** Calls `fire` after `millis`. */
  readonly schedule: (millis: number, what: Due) => Timer
  /** Cancels a timer, if there is one and it has not fired. */
  readonly cancel: (timer: Timer | undefined) => void
  /**
   * Waits until it is notified, for `millis` at most.
   *
   * `listen` receives the function that ends the wait, which it may call at once or later. It returns a function that
   * stops listening.
   */
  readonly wait: (millis: number, listen: (notify: () => void) => () => void) => Effect.Effect<void>
}

// A timer is due when no more than this is left of it. It covers the rounding of nanoseconds and of sums of fractions.
const tolerance = 0.001

/**
 * Makes the timers of a process.
 *
 * Timers that are scheduled when the scope closes still fire. A lock that is held longer than its layer exists must
 * still be reported as lost in time.
 */
export const make: Effect.Effect<Timers, never, Scope.Scope> = Effect.gen(function* () {
  const clock = yield* Clock.Clock
  const fork = Effect.runForkWith(yield* Effect.context())
  const pending = new TimerHeap()
  const now = () => ClockReading.monotonic(clock)
  let fiber: Fiber.Fiber<void> | undefined
  // When the fiber wakes by itself. While it fires timers it need not be woken.
  let wakesAt = Number.POSITIVE_INFINITY
  let isClosed = false

  const firing = Effect.gen(function* () {
    // The caller of `schedule` must have the timer before it fires, so that it can cancel it.
    yield* Effect.yieldNow
    while (!pending.isEmpty) {
      wakesAt = Number.NEGATIVE_INFINITY
      const moment = now()
      for (let next = pending.first; next !== undefined && next.due - moment <= tolerance; next = pending.first) {
        pending.remove(next)
        // A timer that fails must not stop the others.
        yield* Effect.catchCause(
          Effect.sync(() => next.what.fire()),
          Effect.logError
        )
      }
      wakesAt = pending.first?.due ?? Number.POSITIVE_INFINITY
      if (!pending.isEmpty) yield* Effect.sleep(Duration.millis(wakesAt - now()))
    }
    wakesAt = Number.POSITIVE_INFINITY
  })

  // Before the scope closes, the fiber sleeps on even if all timers are cancelled: the next one is usually not far off.
  const stopIfDone = () => {
    if (!isClosed || !pending.isEmpty) return
    wakesAt = Number.POSITIVE_INFINITY
    fiber?.interruptUnsafe()
  }
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      isClosed = true
      stopIfDone()
    })
  )

  const schedule = (millis: number, what: Due) => {
    const timer = pending.add(now() + Math.max(0, millis), what)
    if (timer.due < wakesAt) {
      wakesAt = timer.due
      fiber?.interruptUnsafe()
      fiber = fork(firing)
    }
    return timer
  }

  const cancel = (timer: Timer | undefined) => {
    if (timer === undefined) return
    pending.remove(timer)
    stopIfDone()
  }

  return {
    schedule,
    cancel,
    wait: (millis, listen) =>
      Effect.callback((resume) => {
        let stopListening: (() => void) | undefined
        let isOver = false
        const end = () => {
          isOver = true
          cancel(timer)
          stopListening?.()
        }
        const notify = () => {
          end()
          resume(Effect.void)
        }
        const timer = schedule(millis, { fire: notify })
        stopListening = listen(notify)
        if (isOver) stopListening()
        return Effect.sync(end)
      })
  }
})
