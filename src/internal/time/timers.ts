/**
 * The timers of a process. Nearly all of them are called off before they ring, so that setting one costs next to nothing:
 * one fiber sleeps for them all, until the next is due, and there is none where no timer is set.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as ClockReading from "./clockReading.ts"

/** The timers of a process. */
export interface Timers {
  /** Rings in so many milliseconds, unless it is called off by what this answers. */
  readonly schedule: (millis: number, fire: () => void) => () => void
  /**
   * Waits for a notify, for so many milliseconds at most. `listen` is given what to notify, at once or later, and answers how
   * to listen no more.
   */
  readonly wait: (millis: number, listen: (notify: () => void) => () => void) => Effect.Effect<void>
}

interface Timer {
  readonly due: number
  readonly fire: () => void
}

// As good as due, in milliseconds: what a clock of whole nanoseconds and sums of fractions may differ by.
const close = 0.001

/**
 * Makes the timers of a process. What is set when the scope closes rings all the same: a lock that is held longer than its
 * layer lasts must still be lost in time.
 */
export const make: Effect.Effect<Timers, never, Scope.Scope> = Effect.gen(function* () {
  const clock = yield* Clock.Clock
  const fork = Effect.runForkWith(yield* Effect.context())
  const pending = new Set<Timer>()
  const now = () => ClockReading.monotonic(clock)
  let fiber: Fiber.Fiber<void> | undefined
  // Until when the fiber sleeps. While it rings nobody need wake it.
  let sleepsUntil = Number.POSITIVE_INFINITY
  let isClosed = false

  const firing = Effect.gen(function* () {
    // No timer rings before who set it knows how to notify it off.
    yield* Effect.yieldNow
    while (pending.size > 0) {
      sleepsUntil = Number.NEGATIVE_INFINITY
      const moment = now()
      const due = [...pending].filter((timer) => timer.due - moment <= close)
      for (const timer of due) {
        // None of them may be the end of the others.
        if (pending.delete(timer)) yield* Effect.catchCause(Effect.sync(timer.fire), Effect.logError)
      }
      let next = Number.POSITIVE_INFINITY
      for (const { due } of pending) next = Math.min(next, due)
      sleepsUntil = next
      if (pending.size > 0) yield* Effect.sleep(Duration.millis(next - now()))
    }
    sleepsUntil = Number.POSITIVE_INFINITY
  })

  // Otherwise the fiber sleeps on, also when all timers are called off: the next one is not far.
  const endIfClosed = () => {
    if (!isClosed || pending.size > 0) return
    sleepsUntil = Number.POSITIVE_INFINITY
    fiber?.interruptUnsafe()
  }
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      isClosed = true
      endIfClosed()
    })
  )

  const schedule = (millis: number, fire: () => void) => {
    const timer: Timer = { due: now() + Math.max(0, millis), fire }
    pending.add(timer)
    if (timer.due < sleepsUntil) {
      sleepsUntil = timer.due
      fiber?.interruptUnsafe()
      fiber = fork(firing)
    }
    return () => {
      pending.delete(timer)
      endIfClosed()
    }
  }

  return {
    schedule,
    wait: (millis, listen) =>
      Effect.callback((resume) => {
        let stop: (() => void) | undefined
        let isOver = false
        const end = () => {
          isOver = true
          cancel()
          stop?.()
        }
        const notify = () => {
          end()
          resume(Effect.void)
        }
        const cancel = schedule(millis, notify)
        stop = listen(notify)
        if (isOver) stop()
        return Effect.sync(end)
      })
  }
})
