/** A clock beside the one in context: its wall time is off, as on a machine that was set wrong, or that slept. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

/** The clock, and by how many milliseconds its wall time is off: to be set at will. */
export interface SkewedClock {
  readonly clock: Clock.Clock
  skew: number
}

/** Makes one that runs as the clock in context does. */
export const make: Effect.Effect<SkewedClock> = Clock.clockWith((base) =>
  Effect.sync(() => {
    const skewed = { skew: 0 }
    const currentTimeMillisUnsafe = () => base.currentTimeMillisUnsafe() + skewed.skew
    const currentTimeNanosUnsafe = () => base.currentTimeNanosUnsafe() + BigInt(Math.round(skewed.skew * 1e6))
    const clock: Clock.Clock = {
      currentTimeMillisUnsafe,
      currentTimeMillis: Effect.sync(currentTimeMillisUnsafe),
      currentTimeNanosUnsafe,
      currentTimeNanos: Effect.sync(currentTimeNanosUnsafe),
      monotonicTimeNanosUnsafe: () => base.monotonicTimeNanosUnsafe(),
      monotonicTimeNanos: base.monotonicTimeNanos,
      sleep: (duration) => base.sleep(duration)
    }
    return Object.assign(skewed, { clock })
  })
)
