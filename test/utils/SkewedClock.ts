/** A clock whose wall time differs from the clock in context, as on a machine that was set wrong or that slept. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

/** The clock, and by how many milliseconds its wall time is off. A test can set `skew`. */
export interface SkewedClock {
  readonly clock: Clock.Clock
  skew: number
}

/** Makes a clock that runs as fast as the clock in context. */
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
