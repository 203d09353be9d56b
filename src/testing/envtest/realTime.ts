/** Real processes run in real time, also if a test installs a `TestClock`. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

/** Runs an effect on the machine's own clock. */
export const inRealTime = Effect.provideService(Clock.Clock, Clock.Clock.defaultValue())
