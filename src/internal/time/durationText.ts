/** Durations as people write them in flags and in configuration. */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"

/** What messages say that a duration must be. */
export const expected = 'a duration such as 500ms, 10s, 1m30s or "10 seconds"'

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

const short = /^(?:\d+(?:\.\d+)? ?(?:ms|s|m|h|d))+$/
const part = /(\d+(?:\.\d+)?) ?(ms|s|m|h|d)/g

/** Reads `500ms`, `10s`, `1.5m`, `1m30s`, `2h`, `1d`, `0`, and Effect's own form, `10 seconds`. */
export const parse = (text: string): Option.Option<Duration.Duration> => {
  const trimmed = text.trim()
  if (trimmed === "0") return Option.some(Duration.zero)
  const read = short.test(trimmed)
    ? Option.some(
        Duration.millis(
          [...trimmed.matchAll(part)].reduce((sum, [, amount, unit]) => sum + Number(amount) * units[unit!]!, 0)
        )
      )
    : Duration.fromInput(trimmed as Duration.Input)
  return Option.filter(read, (duration) => Duration.isFinite(duration) && !Duration.isNegative(duration))
}
