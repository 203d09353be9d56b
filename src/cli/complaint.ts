/** What is wrong, in one line. */
import * as Cause from "effect/Cause"
import * as CliError from "effect/cli/CliError"
import * as CliOutput from "effect/cli/CliOutput"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Runtime from "effect/Runtime"

/** How a program says something. */
export type Say = (text: string) => Effect.Effect<void>

/** Says what is wrong with an invocation. `hintOf`: what else may be behind an unknown flag of a command. */
export const presenter = (
  say: Say,
  hintOf: (commandPath: ReadonlyArray<string>) => string | undefined = () => undefined
): Layer.Layer<never> =>
  CliOutput.layerPresenter({
    present: (event) => {
      if (event._tag !== "InvalidInvocation") return CliOutput.defaultPresenter.present(event)
      const { commandPath, errors } = event
      const hint = errors.some(isUnlikeAny) ? hintOf(commandPath) : undefined
      const what = [errors.map(ofOne).join("; "), ...(hint === undefined ? [] : [hint])].join(". ")
      return say(`${what} (see ${commandPath.join(" ")} --help)`)
    }
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
const ofOne = (error: CliError.CliError): string => {
  const what = firstLine(error.message)
  const meant = meantBy(error)
  return meant.length > 0 ? `${what}. Did you mean ${meant.join(" or ")}?` : what
}

// A flag of one letter is like every other one, and like every short name.
const meantBy = (error: CliError.CliError): ReadonlyArray<string> => {
  const isOneLetter = error._tag === "UnrecognizedOption" && /^-[^-]$/.test(error.option)
  return "suggestions" in error && !isOneLetter ? error.suggestions : []
}

const isUnlikeAny = (error: CliError.CliError): boolean =>
  error._tag === "UnrecognizedOption" && meantBy(error).length === 0

/** What a problem says of itself. */
export const of = (problem: unknown): string =>
  firstLine(problem instanceof Error ? problem.message || problem.name : String(problem))

const firstLine = (text: string): string => text.split("\n")[0]!
