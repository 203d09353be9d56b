/** Flags of the benchmarks' command lines: durations in a range, and the cluster. */
import * as Flag from "effect/cli/Flag"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Range } from "../../tools/flags.ts"
import type { Connection } from "./connection.ts"
import { LoadError } from "./loadError.ts"

/** A flag for a duration in a range. */
export const duration = (name: string, range: Range<Duration.Duration>, help: string) =>
  Flag.String(name).pipe(
    Flag.filterMap(
      (text) => Option.filter(readDuration(text), Duration.between({ minimum: range[0], maximum: range[1] })),
      () =>
        `a duration from ${Duration.format(range[0])} to ${Duration.format(range[1])}, such as 500ms, 10s or "10 seconds"`
    ),
    Flag.withMetavar("DURATION"),
    Flag.withDescription(help)
  )

const units: Readonly<Record<string, Duration.Unit>> = { ms: "millis", s: "seconds", m: "minutes", h: "hours" }

/** Reads `500ms`, `10s`, `1.5m`, `2h`, `0`, and Effect's own form, `10 seconds`. */
export const readDuration = (text: string): Option.Option<Duration.Duration> => {
  if (text.trim() === "0") return Option.some(Duration.zero)
  const short = /^(\d+(?:\.\d+)?) ?(ms|s|m|h)$/.exec(text.trim())
  const long = short === null ? text.trim() : `${Number(short[1])} ${units[short[2]!]!}`
  return Option.filter(Duration.fromInput(long as Duration.Input), Duration.isFinite)
}

/** The values of a record of flags. */
export type Values<Flags> = { readonly [Name in keyof Flags]: Flags[Name] extends Flag.Flag<infer A> ? A : never }

/** The cluster that `--kubeconfig` and `--context` name: `undefined` for an embedded server. */
export const connection = ({
  context,
  kubeconfig
}: {
  readonly kubeconfig: Option.Option<string>
  readonly context: Option.Option<string>
}): Effect.Effect<Connection | undefined, LoadError> => {
  if (Option.isSome(kubeconfig)) {
    return Effect.succeed({
      _tag: "KubeConfig",
      file: kubeconfig.value === "" ? undefined : kubeconfig.value,
      context: Option.getOrUndefined(context)
    })
  }
  return Option.isSome(context)
    ? Effect.fail(new LoadError({ message: "--context needs --kubeconfig: without it an embedded server is used" }))
    : Effect.succeed(undefined)
}
