/**
 * The alarms of a process. Nearly all of them are called off before they ring, so that setting one costs next to nothing:
 * one fiber sleeps for them all, until the next is due, and there is none where no alarm is set.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as stopwatch from "./stopwatch.ts"

/** The alarms of a process. */
export interface Alarms {
  /** Rings in so many milliseconds, unless it is called off by what this answers. */
  readonly set: (millis: number, ring: () => void) => () => void
  /**
   * Waits for a call, for so many milliseconds at most. `listen` is given what to call, at once or later, and answers how
   * to listen no more.
   */
  readonly wait: (millis: number, listen: (call: () => void) => () => void) => Effect.Effect<void>
}

interface Alarm {
  readonly due: number
  readonly ring: () => void
}

// As good as due, in milliseconds: what a clock of whole nanoseconds and sums of fractions may differ by.
const close = 0.001

/**
 * Makes the alarms of a process. What is set when the scope closes rings all the same: a lock that is held longer than its
 * layer lasts must still be lost in time.
 */
export const make: Effect.Effect<Alarms, never, Scope.Scope> = Effect.gen(function* () {
  const clock = yield* Clock.Clock
  const fork = Effect.runForkWith(yield* Effect.context())
  const pending = new Set<Alarm>()
  const now = () => stopwatch.monotonic(clock)
  let fiber: Fiber.Fiber<void> | undefined
  // Until when the fiber sleeps. While it rings nobody need wake it.
  let sleepsUntil = Number.POSITIVE_INFINITY
  let isClosed = false

  const ringing = Effect.gen(function* () {
    // No alarm rings before who set it knows how to call it off.
    yield* Effect.yieldNow
    while (pending.size > 0) {
      sleepsUntil = Number.NEGATIVE_INFINITY
      const moment = now()
      const due = [...pending].filter((alarm) => alarm.due - moment <= close)
      for (const alarm of due) {
        // None of them may be the end of the others.
        if (pending.delete(alarm)) yield* Effect.catchCause(Effect.sync(alarm.ring), Effect.logError)
      }
      let next = Number.POSITIVE_INFINITY
      for (const { due } of pending) next = Math.min(next, due)
      sleepsUntil = next
      if (pending.size > 0) yield* Effect.sleep(Duration.millis(next - now()))
    }
    sleepsUntil = Number.POSITIVE_INFINITY
  })

  // Otherwise the fiber sleeps on, also when all alarms are called off: the next one is not far.
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

  const set = (millis: number, ring: () => void) => {
    const alarm: Alarm = { due: now() + Math.max(0, millis), ring }
    pending.add(alarm)
    if (alarm.due < sleepsUntil) {
      sleepsUntil = alarm.due
      fiber?.interruptUnsafe()
      fiber = fork(ringing)
    }
    return () => {
      pending.delete(alarm)
      endIfClosed()
    }
  }

  return {
    set,
    wait: (millis, listen) =>
      Effect.callback((resume) => {
        let stop: (() => void) | undefined
        let isOver = false
        const end = () => {
          isOver = true
          callOff()
          stop?.()
        }
        const call = () => {
          end()
          resume(Effect.void)
        }
        const callOff = set(millis, call)
        stop = listen(call)
        if (isOver) stop()
        return Effect.sync(end)
      })
  }
})
