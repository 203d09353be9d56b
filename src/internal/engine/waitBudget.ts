/** How long a contender goes on waiting: a schedule, followed by the clock, whatever happens between its steps. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"
import type { WaitSchedule } from "../../LockPolicy.ts"
import * as ClockReading from "../time/clockReading.ts"

/**
 * How much is left of the present step of the schedule, in milliseconds; `None` at the end of the schedule. `input` is the
 * schedule's.
 *
 * If less than `atLeast` is left, the schedule steps on, so that a waiter that hears news need not wake at each step. The first
 * step is taken alone: most waits end before it does.
 */
export type WaitBudget = (input: unknown, atLeast?: number) => Effect.Effect<Option.Option<number>>

/** How far ahead of time the schedule is stepped for a waiter that hears news, in milliseconds. */
export const ahead = 1000

/** Makes a budget. The first step begins when it is first asked for. */
export const make = (schedule: WaitSchedule): WaitBudget => {
  let next: Effect.Success<ReturnType<typeof Schedule.toStep<unknown, unknown, never, never>>> | undefined
  let due: number | undefined
  let isOver = false
  return Effect.fnUntraced(function* (input, atLeast = 0) {
    const { monotonic } = yield* ClockReading.now
    // In whole microseconds: a timer may fire a few nanoseconds early, since sums of fractions differ.
    const left = () => Math.round(((due ?? monotonic) - monotonic) * 1000) / 1000
    const isFirst = next === undefined
    next ??= yield* Schedule.toStep(schedule)
    for (
      let steps = atLeast === 0 || isFirst ? 1 : maxStepsAhead;
      !isOver && steps > 0 && (left() <= 0 || left() < atLeast);
      steps--
    ) {
      const from = monotonic + Math.max(0, left())
      const delay = yield* next(from, input).pipe(
        Effect.map(([, delay]) => Math.ceil(Duration.toMillis(delay))),
        Pull.catchDone(() => Effect.undefined)
      )
      if (delay === undefined) isOver = true
      else due = from + Math.max(shortestStep, delay)
    }
    return isOver && left() <= 0 ? Option.none() : Option.some(Math.ceil(Math.max(0, left())))
  })
}

/** The shortest step of a schedule, in milliseconds: one without delays would retry without a pause. Our choice. */
export const shortestStep = 10

// A schedule may have very short delays.
const maxStepsAhead = 32
