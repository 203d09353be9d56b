/** When a write that failed in passing is tried again: soon at first, and then every second. Our choice. */
import type * as Duration from "effect/Duration"
import * as Schedule from "effect/Schedule"

/** The schedule of a write that is tried again for so long. */
export const upTo = (patience: Duration.Duration) =>
  Schedule.min([Schedule.exponential("20 millis"), Schedule.spaced("1 second")]).pipe(
    Schedule.upTo({ duration: patience })
  )
