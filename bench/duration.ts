/** Durations as people write them on a command line. */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"

const units: Readonly<Record<string, Duration.Unit>> = { ms: "millis", s: "seconds", m: "minutes", h: "hours" }

/** Reads `500ms`, `10s`, `1.5m`, `2h`, `0`, and Effect's own form, `10 seconds`. */
export const parse = (text: string): Option.Option<Duration.Duration> => {
  if (text.trim() === "0") return Option.some(Duration.zero)
  const short = /^(\d+(?:\.\d+)?) ?(ms|s|m|h)$/.exec(text.trim())
  const long = short === null ? text.trim() : `${Number(short[1])} ${units[short[2]!]!}`
  return Option.filter(Duration.fromInput(long as Duration.Input), Duration.isFinite)
}
