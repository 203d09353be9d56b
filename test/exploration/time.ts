/** The time of an explored world: a tick is one second. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Now } from "../../src/internal/protocol/answer.ts"

const began = Date.UTC(2026, 10, 24, 10, 20)

/** A tick, in milliseconds since 1970. */
export const millis = (tick: number): number => began + tick * 1000

/** What the clock of a process shows at a tick. */
export const clockAt = (tick: number): Now["clock"] => ({ monotonic: tick * 1000, wall: millis(tick) })

/** Runs at a tick what does not wait. */
export const runAt = <A>(tick: number, effect: Effect.Effect<A>): A =>
  Effect.runSync(Effect.provideService(effect, Clock.Clock, clockOf(tick)))

const clockOf = (tick: number): Clock.Clock => {
  const { monotonic, wall } = clockAt(tick)
  const nanos = BigInt(monotonic) * 1_000_000n
  return {
    currentTimeMillisUnsafe: () => wall,
    currentTimeMillis: Effect.succeed(wall),
    currentTimeNanosUnsafe: () => BigInt(wall) * 1_000_000n,
    currentTimeNanos: Effect.succeed(BigInt(wall) * 1_000_000n),
    monotonicTimeNanosUnsafe: () => nanos,
    monotonicTimeNanos: Effect.succeed(nanos),
    sleep: () => Effect.never
  }
}

/** Time goes by. */
export const passes = (ticks: number): ReadonlyArray<string> => Array.from({ length: ticks }, () => "time passes")
