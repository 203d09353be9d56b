/**
 * A machine: its clocks, and whether what is on it gets to run.
 *
 * Its wall clock is off and can be set; both its clocks run at a rate of their own; while it is suspended the monotonic
 * clock stands still. What runs on it comes to a halt wherever it waits: at the end of a sleep, and at an answer.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"

/** How a machine's clocks are off. Rate 1.005 means that they gain 5 milliseconds each second. */
export interface Options {
  readonly name: string
  /** What the wall clock shows when the world begins. */
  readonly wall: number
  readonly rate: number
  /** Into how many steps a millisecond is divided: no sleep ends between two steps, and the wall clock shows no others. */
  readonly grain: number
}

/** The machine. */
export interface Machine {
  readonly name: string
  readonly clock: Clock.Clock
  /** Waits for the turn to run. */
  readonly turn: Effect.Effect<void>
  /** Stops what runs on it; the clocks run on, all but the monotonic one if it is suspended. A crash never ends. */
  readonly halt: (how: "Stall" | "Suspend" | "Crash") => void
  /** Lets it run again. */
  readonly proceed: () => void
  /** Sets the wall clock forward or back. */
  readonly setWall: (by: number) => void
  /** Called whenever what runs on it has done a bit and begins to wait. */
  onWait: () => void
}

/** Makes a machine in the world whose true time the clock in context is. */
export const make = (options: Options): Effect.Effect<Machine> =>
  Clock.clockWith((trueClock) =>
    Effect.sync(() => {
      const { grain, name, rate } = options
      const running = Latch.makeUnsafe(true)
      let wallOffset = options.wall
      let asleep = 0
      let fellAsleep: number | undefined
      let crashed = false

      const trueTime = () => trueClock.currentTimeMillisUnsafe()
      const monotonic = () => rate * ((fellAsleep ?? trueTime()) - asleep)
      const nanos = () => Math.round(monotonic() * 1e6)
      const wall = () => Math.floor((wallOffset + rate * trueTime()) * grain) / grain
      const wallNanos = () => BigInt(Math.round(wall() * 1000)) * 1000n

      // Until the clock, as it is read, has come to the target.
      const sleepUntil = (target: number): Effect.Effect<void> =>
        Effect.suspend(() => {
          const left = Math.ceil(((target - nanos()) / 1e6 / rate) * grain) / grain
          return left <= 0
            ? Effect.void
            : trueClock
                .sleep(Duration.millis(left))
                .pipe(Effect.andThen(running.await), Effect.andThen(sleepUntil(target)))
        })

      const machine: Machine = {
        name,
        turn: running.await,
        halt: (how) => {
          running.closeUnsafe()
          if (how === "Crash") crashed = true
          if (how === "Suspend") fellAsleep ??= trueTime()
        },
        proceed: () => {
          if (fellAsleep !== undefined) asleep += trueTime() - fellAsleep
          fellAsleep = undefined
          if (!crashed) running.openUnsafe()
        },
        setWall: (by) => {
          wallOffset += by
        },
        onWait: () => {},
        clock: {
          currentTimeMillisUnsafe: wall,
          currentTimeMillis: Effect.sync(wall),
          currentTimeNanosUnsafe: wallNanos,
          currentTimeNanos: Effect.sync(wallNanos),
          monotonicTimeNanosUnsafe: () => BigInt(nanos()),
          monotonicTimeNanos: Effect.sync(() => BigInt(nanos())),
          sleep: (duration: Duration.Duration) =>
            Effect.suspend(() => {
              machine.onWait()
              return sleepUntil(nanos() + Duration.toMillis(duration) * 1e6)
            })
        }
      }
      return machine
    })
  )
