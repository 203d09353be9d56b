/**
 * The end of a layer. Releases and withdrawals may still be under way then, or yet to come: only its own scope ends a hold.
 *
 * Their pauses go on by the machine's clock from then on. In a test, `TestClock` stands still once the test is over.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/** The end of a layer. */
export interface Closing {
  readonly hasBegun: () => boolean
  /** Marks the beginning of the end. */
  readonly begin: Effect.Effect<void>
  /** Sleeps, from the beginning of the end on by the machine's clock. */
  readonly sleep: (duration: Duration.Input) => Effect.Effect<void>
}

/** Makes the end of a layer, which has not begun. */
export const make = (): Closing => {
  const begun = Deferred.makeUnsafe<void>()
  return {
    hasBegun: () => Deferred.isDoneUnsafe(begun),
    begin: Effect.asVoid(Deferred.succeed(begun, undefined)),
    sleep: (duration) =>
      Effect.raceFirst(
        Effect.sleep(duration),
        Effect.andThen(Deferred.await(begun), Effect.provideService(Effect.sleep(duration), Clock.Clock, machineClock))
      )
  }
}

const machineClock = Clock.Clock.defaultValue()
