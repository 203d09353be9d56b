/** Progress on standard error: one line that is updated on a terminal, one line a second elsewhere. */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"

/** Shows the current line until interrupted. */
export const show = (line: () => string): Effect.Effect<unknown> =>
  process.stderr.isTTY
    ? Effect.repeat(
        Effect.sync(() => overwrite(line())),
        Schedule.spaced("100 millis")
      ).pipe(Effect.ensuring(Effect.sync(() => overwrite(""))))
    : Effect.repeat(
        Effect.andThen(
          Effect.sleep("1 second"),
          Effect.sync(() => process.stderr.write(`${line()}\n`))
        ),
        Schedule.forever
      )

const overwrite = (line: string): void => {
  process.stderr.write(`\r\u001b[2K${line.slice(0, (process.stderr.columns ?? 80) - 1)}`)
}
