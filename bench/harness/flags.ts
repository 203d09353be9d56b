/** Flags of the benchmarks' command lines: durations in a range, a file for what was measured, and the cluster. */
import * as Flag from "effect/cli/Flag"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as durationText from "../../src/internal/time/durationText.ts"
import type { Range } from "../../tools/flags.ts"
import type { Connection } from "../../src/cli/bench/harness/connection.ts"
import { LoadError } from "../../src/cli/bench/harness/loadError.ts"

/** A flag for a duration in a range. */
export const duration = (name: string, range: Range<Duration.Duration>, help: string) =>
  Flag.String(name).pipe(
    Flag.filterMap(
      (text) => Option.filter(durationText.parse(text), Duration.between({ minimum: range[0], maximum: range[1] })),
      () => `${durationText.expected}, from ${Duration.format(range[0])} to ${Duration.format(range[1])}`
    ),
    Flag.withMetavar("DURATION"),
    Flag.withDescription(help)
  )

/** A file that gets what was measured. */
export const measurementsFile = Flag.String("json").pipe(
  Flag.withMetavar("FILE"),
  Flag.withDescription("Write what was measured to this file"),
  Flag.optional
)

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
