/** Flags that several programs have. */
import * as CliError from "effect/cli/CliError"
import * as Flag from "effect/cli/Flag"
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as durationText from "../internal/time/durationText.ts"
import { leaseRange } from "../internal/time/leaseRange.ts"

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

/**
 * A flag for a text that `read` understands, or says of it what it must be. `variable` is the environment variable that stands in for
 * it. What is wrong with a text is said of the one that it came from.
 */
export const text = <A>({
  help,
  metavar,
  name,
  read,
  variable
}: {
  readonly name: string
  readonly metavar: string
  readonly help: string
  readonly read: (text: string) => Result.Result<A, string>
  readonly variable?: string | undefined
}): Flag.Flag<A> => {
  const flag = Flag.map(Flag.String(name), (text) => ({ text, isFlag: true }))
  const given =
    variable === undefined
      ? flag
      : Flag.withFallbackConfig(
          flag,
          Config.map(Config.String(variable), (text) => ({ text, isFlag: false }))
        )
  return given.pipe(
    Flag.mapEffect(({ isFlag, text }) =>
      Effect.mapError(Effect.fromResult(read(text)), (expected) =>
        isFlag
          ? new CliError.InvalidValue({ option: name, value: text, expected, kind: "flag" })
          : new CliError.UserError({
              cause: undefined,
              userMessage: `Invalid value for ${variable}: ${JSON.stringify(text)}. Expected: ${expected}`
            })
      )
    ),
    Flag.withMetavar(metavar),
    Flag.withDescription(help)
  )
}

/** A flag for a duration in a range. A plain number is in seconds. `variable` is the environment variable that stands in for it. */
export const duration = (
  name: string,
  help: string,
  { range, variable }: { readonly range?: Range<Duration.Duration>; readonly variable?: string | undefined } = {}
): Flag.Flag<Duration.Duration> =>
  text({
    name,
    metavar: "DURATION",
    help,
    variable,
    read: (text) => {
      const read = /^\d+(\.\d+)?$/.test(text) ? Option.some(Duration.seconds(Number(text))) : durationText.parse(text)
      if (Option.isNone(read)) return Result.fail(`${durationText.expected}; a plain number is in seconds`)
      if (range === undefined) return Result.succeed(read.value)
      const [minimum, maximum] = range
      return Duration.between(read.value, { minimum, maximum })
        ? Result.succeed(read.value)
        : Result.fail(`a duration from ${Duration.format(minimum)} to ${Duration.format(maximum)}`)
    }
  })

/** A flag for how long a lock lasts without a renewal. `variable` is the environment variable that stands in for it. */
export const ttl = (help: string, variable?: string): Flag.Flag<Duration.Duration> =>
  duration("ttl", help, { range: [leaseRange.minimum, leaseRange.maximum], variable })
