/**
 * Time that has passed, to judge a lease by.
 *
 * The monotonic clock stands still while a machine sleeps, and the wall clock can be set back: whichever saw more time
 * pass is believed.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

/** A moment on this process's clocks, in milliseconds. */
export interface ClockReading {
  readonly monotonic: number
  readonly wall: number
}

/** Reads a clock. */
export const read = (clock: Clock.Clock): ClockReading => ({
  monotonic: monotonic(clock),
  wall: clock.currentTimeMillisUnsafe()
})

/** The monotonic clock alone, for what is not a lease's end. */
export const monotonic = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6

/** Now. */
export const now: Effect.Effect<ClockReading> = Clock.clockWith((clock) => Effect.succeed(read(clock)))

/** The least and the most time that can have passed between two moments, in milliseconds. */
export const elapsed = (from: ClockReading, to: ClockReading): { readonly least: number; readonly most: number } => {
  const monotonic = Math.max(0, to.monotonic - from.monotonic)
  const wall = Math.max(0, to.wall - from.wall)
  return { least: Math.min(monotonic, wall), most: Math.max(monotonic, wall) }
}

/** How far the rates of two clocks may differ: half a percent, a hundred times what quartz needs (our choice). */
export const maxDrift = 0.005
