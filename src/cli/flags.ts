/** Flags that several programs have. */
import * as Flag from "effect/cli/Flag"
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as durationText from "../internal/time/durationText.ts"

/** The least and the greatest value. */
export type Range<A> = readonly [min: A, max: A]

const numeric = (
  name: string,
  read: (text: string) => number,
  what: string,
  [min, max]: Range<number>,
  help: string
): Flag.Flag<number> =>
  Flag.String(name).pipe(
    Flag.filterMap(
      (text) => Option.filter(Option.some(read(text)), (value) => value >= min && value <= max),
      () => `${what} from ${min} to ${max}`
    ),
    Flag.withMetavar("N"),
    Flag.withDescription(help)
  )

/** A flag for a whole number in a range. */
export const whole = (name: string, range: Range<number>, help: string): Flag.Flag<number> =>
  numeric(name, (text) => (/^\d+$/.test(text) ? Number(text) : Number.NaN), "a whole number", range, help)

/** A flag for a number in a range. */
export const number = (name: string, range: Range<number>, help: string): Flag.Flag<number> =>
  numeric(name, (text) => (text.trim() === "" ? Number.NaN : Number(text)), "a number", range, help)

/** A flag that is off by default. */
export const toggle = (name: string, help: string): Flag.Flag<boolean> =>
  Flag.Boolean(name).pipe(Flag.withDefault(false), Flag.withDescription(help))

/** A flag for a duration. A plain number is in seconds. `variable` is the environment variable that stands in for it. */
export const duration = (name: string, help: string, variable?: string): Flag.Flag<Duration.Duration> =>
  (variable === undefined
    ? Flag.String(name)
    : Flag.String(name).pipe(Flag.withFallbackConfig(Config.String(variable)))
  ).pipe(
    Flag.filterMap(
      (text) => (/^\d+(\.\d+)?$/.test(text) ? Option.some(Duration.seconds(Number(text))) : durationText.parse(text)),
      () => `${durationText.expected}; a plain number is in seconds`
    ),
    Flag.withMetavar("DURATION"),
    Flag.withDescription(help)
  )
