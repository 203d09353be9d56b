/** How long a contender waits: the policy's schedule, followed by the clock whatever happens between its steps. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"
import type { WaitSchedule } from "../../LockPolicy.ts"
import * as ClockReading from "../time/clockReading.ts"

/**
 * How much is left of the present step, in milliseconds; `None` at the end of the schedule.
 *
 * The schedule is stepped on where less than `atLeast` would be left: who waits for news need not wake at each step. The
 * first step is taken alone: most waits end with news before it does.
 */
export type Patience = (seen: unknown, atLeast?: number) => Effect.Effect<Option.Option<number>>

/** How far ahead of time a schedule is stepped for those who wait for news, in milliseconds. */
export const ahead = 1000

/** Makes the patience of a contender. The first step begins when it is first asked for. */
export const make = (polling: WaitSchedule): Patience => {
  let next: Effect.Success<ReturnType<typeof Schedule.toStep<unknown, unknown, never, never>>> | undefined
  let due: number | undefined
  let isOver = false
  return Effect.fnUntraced(function* (seen, atLeast = 0) {
    const { monotonic } = yield* ClockReading.now
    const left = () => (due ?? monotonic) - monotonic
    const isFirst = next === undefined
    next ??= yield* Schedule.toStep(polling)
    for (
      let steps = atLeast === 0 || isFirst ? 1 : mostAhead;
      !isOver && steps > 0 && (left() <= 0 || left() < atLeast);
      steps--
    ) {
      const from = monotonic + Math.max(0, left())
      const delay = yield* next(from, seen).pipe(
        Effect.map(([, delay]) => Math.ceil(Duration.toMillis(delay))),
        Pull.catchDone(() => Effect.undefined)
      )
      if (delay === undefined) isOver = true
      else due = from + delay
    }
    return isOver && left() <= 0 ? Option.none() : Option.some(Math.ceil(Math.max(0, left())))
  })
}

// A schedule may have no delays at all.
const mostAhead = 32
