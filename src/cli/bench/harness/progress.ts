/** Progress on standard error: one line that is updated on a terminal; elsewhere a line a second, if it is a new one. */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"

/** Shows the current line until interrupted. */
export const show = (line: () => string): Effect.Effect<unknown> =>
  process.stderr.isTTY
    ? Effect.repeat(
        Effect.sync(() => overwrite(line())),
        Schedule.spaced("100 millis")
      ).pipe(Effect.ensuring(Effect.sync(() => overwrite(""))))
    : Effect.forever(Effect.andThen(Effect.sleep("1 second"), Effect.sync(newLines(line))))

const newLines = (line: () => string): (() => void) => {
  let last = ""
  return () => {
    const next = line()
    if (next !== last) process.stderr.write(`${next}\n`)
    last = next
  }
}

const overwrite = (line: string): void => {
  process.stderr.write(`\r\u001b[2K${line.slice(0, (process.stderr.columns ?? 80) - 1)}`)
}
