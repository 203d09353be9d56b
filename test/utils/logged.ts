import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"

/** Runs an effect, and returns the lines that it logged: `Warn Waiters poll`. */
export const logged = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<ReadonlyArray<string>, E, R> =>
  Effect.suspend(() => {
    const lines: Array<string> = []
    const keep = Logger.make(({ logLevel, message }) => {
      lines.push(`${logLevel} ${Array.isArray(message) ? message.join(" ") : String(message)}`)
    })
    return Effect.as(Effect.provide(effect, Logger.layer([keep])), lines)
  })
