/** How long a contender goes on waiting: a schedule, followed by the clock, whatever happens between its steps. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"
import type { WaitSchedule } from "../../LockPolicy.ts"
import * as ClockReading from "../time/clockReading.ts"

/**
 * `left`: how much is left of the present step of the schedule, in milliseconds; `None` at the end of the schedule. `input` is the
 * schedule's.
 *
 * The steps follow each other by the clock. Steps that pass while the contender does something else, such as a request that gets no
 * answer, are over. Only a step without a delay begins when it is asked for, since it counts attempts, not time.
 *
 * If less than `atLeast` is left, the schedule is stepped ahead, so that a waiter that hears news need not wake at each step. A
 * waiter that polls after it still has the steps between. That begins when the first step is over: most waits end before.
 */
export interface WaitBudget {
  readonly left: (input: unknown, atLeast?: number) => Effect.Effect<Option.Option<number>>
}

/** How far ahead of time the schedule is stepped for a waiter that hears news, in milliseconds. */
export const ahead = 1000

/** Makes a budget. The first step begins at `startedAt` (milliseconds on the monotonic clock), or when it is first asked for. */
export const make = (schedule: WaitSchedule, startedAt?: number): WaitBudget => new Budget(schedule, startedAt)

/** Most acquisitions never wait. */
class Budget implements WaitBudget {
  readonly #schedule: WaitSchedule
  readonly #startedAt: number | undefined
  #steps: Steps | undefined

  constructor(schedule: WaitSchedule, startedAt: number | undefined) {
    this.#schedule = schedule
    this.#startedAt = startedAt
  }

  left(input: unknown, atLeast = 0): Effect.Effect<Option.Option<number>> {
    this.#steps ??= {
      schedule: this.#schedule,
      next: undefined,
      ends: [],
      lastEnd: this.#startedAt,
      firstEnd: undefined,
      isOver: false
    }
    return left(this.#steps, input, atLeast)
  }
}

/** The budget of all that have what they waited for: nothing is left of it. */
export const over: WaitBudget = { left: () => Effect.succeedNone }

/** The steps of a schedule. `ends` is when those end that are not over. */
interface Steps {
  readonly schedule: WaitSchedule
  next: Effect.Success<ReturnType<typeof Schedule.toStep<unknown, unknown, never, never>>> | undefined
  readonly ends: Array<number>
  lastEnd: number | undefined
  firstEnd: number | undefined
  isOver: boolean
}

const left = Effect.fnUntraced(function* (steps: Steps, input: unknown, atLeast: number) {
  const { ends } = steps
  const { monotonic } = yield* ClockReading.now
  // In whole microseconds: a timer may fire a few nanoseconds early, since sums of fractions differ.
  const until = (end: number) => Math.round((end - monotonic) * 1000) / 1000
  let stepsAhead = steps.firstEnd !== undefined && until(steps.firstEnd) <= 0 ? maxStepsAhead : 0
  let stepsBehind = maxStepsBehind
  const next = (steps.next ??= yield* Schedule.toStep(steps.schedule))
  let last = steps.lastEnd ?? monotonic
  while (!steps.isOver && (until(last) <= 0 ? stepsBehind-- > 0 : until(last) < atLeast && stepsAhead-- > 0)) {
    const delay = yield* next(last, input).pipe(
      Effect.map(([, delay]) => Math.ceil(Duration.toMillis(delay))),
      Pull.catchDone(() => Effect.undefined)
    )
    if (delay === undefined) {
      steps.isOver = true
      break
    }
    last = delay > 0 ? last + Math.max(shortestStep, delay) : Math.max(last, monotonic) + shortestStep
    steps.firstEnd ??= last
    if (until(last) > 0) ends.push(last)
  }
  steps.lastEnd = last
  while (ends.length > 0 && until(ends[0]!) <= 0) ends.shift()
  const end = ends.find((end) => until(end) >= atLeast) ?? last
  return steps.isOver && until(end) <= 0 ? Option.none() : Option.some(Math.ceil(Math.max(0, until(end))))
})

/** The shortest step of a schedule, in milliseconds: one without delays would retry without a pause. Our choice. */
export const shortestStep = 10

// A schedule may have very short delays, and a process may sleep for hours.
const maxStepsAhead = 32
const maxStepsBehind = 10_000
