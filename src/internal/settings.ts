/**
 * Settings from configuration, all of them optional: `KUBELOCK_` and a name. A value that cannot be read is an error that says what
 * it must be.
 */
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as durationText from "./time/durationText.ts"

/** A setting that `parse` reads. `expected` says what it must be. */
export const setting = <A>(
  name: string,
  expected: string,
  parse: (text: string) => Option.Option<A>
): Config.Config<Option.Option<A>> =>
  text(name).pipe(
    Config.mapEffect(
      Option.match({
        onNone: () => Effect.succeedNone,
        onSome: (text) =>
          Option.match(parse(text), {
            onNone: () => Effect.fail(problem(`KUBELOCK_${name} must be ${expected}, but is ${JSON.stringify(text)}`)),
            onSome: Effect.succeedSome
          })
      })
    )
  )

/** A setting that is any text. */
export const text = (name: string): Config.Config<Option.Option<string>> =>
  Config.String(name).pipe(Config.nested("KUBELOCK"), Config.option)

/** A setting that is a duration. */
export const duration = (name: string): Config.Config<Option.Option<Duration.Duration>> =>
  setting(name, durationText.expected, durationText.parse)

/** A setting that is on or off. */
export const toggle = (name: string): Config.Config<Option.Option<boolean>> =>
  setting(name, "true or false", (text) => Option.fromNullishOr(toggles[text.trim().toLowerCase()]))

const toggles: Readonly<Record<string, boolean>> = {
  true: true,
  yes: true,
  on: true,
  "1": true,
  false: false,
  no: false,
  off: false,
  "0": false
}

/** The error of a configuration. */
export const problem = (message: string): Config.ConfigError =>
  new Config.ConfigError(new ConfigProvider.SourceError({ message }))
