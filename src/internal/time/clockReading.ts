/**
 * Readings of this process's clocks, and the time between two of them.
 *
 * The monotonic clock stops while the machine sleeps, and the wall clock can be set back. A lease is judged by
 * the clock that saw more time pass.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

/** One reading of both clocks, in milliseconds. */
export interface ClockReading {
  readonly monotonic: number
  readonly wall: number
}

/** Reads both clocks. */
export const read = (clock: Clock.Clock): ClockReading => ({
  monotonic: monotonic(clock),
  wall: clock.currentTimeMillisUnsafe()
})

/** The monotonic clock alone, in milliseconds. It is enough for everything except the end of a lease. */
export const monotonic = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6

/** Reads the clocks of the running fiber. */
export const now: Effect.Effect<ClockReading> = Clock.clockWith((clock) => Effect.succeed(read(clock)))

/** The time between two readings, in milliseconds: by the clock that saw less pass, and by the clock that saw more. */
export const elapsed = (from: ClockReading, to: ClockReading): { readonly min: number; readonly max: number } => {
  const monotonic = Math.max(0, to.monotonic - from.monotonic)
  const wall = Math.max(0, to.wall - from.wall)
  return { min: Math.min(monotonic, wall), max: Math.max(monotonic, wall) }
}

/** By how much the rates of two clocks may differ: half a percent, a hundred times what quartz needs (our choice). */
export const maxDrift = 0.005

/**
 * The part of a lease at its end on which its holder does not rely. Half of it is for a clock of the holder that is slow, and half for
 * another process that judges the lease by a server whose clock is ahead of the holder's server (our choice).
 */
export const safetyMargin = 2 * maxDrift
