/** What is wrong, in one line. */
import * as Cause from "effect/Cause"
import * as CliError from "effect/cli/CliError"
import * as CliOutput from "effect/cli/CliOutput"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Runtime from "effect/Runtime"

/** How a program says something. */
export type Say = (text: string) => Effect.Effect<void>

/** Says what is wrong with an invocation. */
export const presenter = (say: Say): Layer.Layer<never> =>
  CliOutput.layerPresenter({
    present: (event) =>
      event._tag === "InvalidInvocation"
        ? say(`${ofInvocation(event.errors)} (see ${event.commandPath.join(" ")} --help)`)
        : CliOutput.defaultPresenter.present(event)
  })

/** Says with what a program failed, unless the problem says that it is not to be reported (`Runtime.errorReported`). */
export const report =
  (say: Say) =>
  (cause: Cause.Cause<unknown>): Effect.Effect<void> => {
    const problem = Cause.squash(cause)
    // The presenter has shown an invalid invocation.
    const isShown = Cause.hasInterruptsOnly(cause) || CliError.isCliError(problem)
    return isShown || !Runtime.getErrorReported(problem) ? Effect.void : say(of(problem))
  }

// It says what may have been meant, too.
const ofInvocation = (errors: ReadonlyArray<CliError.CliError>): string => errors.map(ofOne).join("; ")

const ofOne = (error: CliError.CliError): string => {
  const what = firstLine(error.message)
  return "suggestions" in error && error.suggestions.length > 0
    ? `${what}. Did you mean ${error.suggestions.join(" or ")}?`
    : what
}

/** What a problem says of itself. */
export const of = (problem: unknown): string =>
  firstLine(problem instanceof Error ? problem.message || problem.name : String(problem))

const firstLine = (text: string): string => text.split("\n")[0]!
