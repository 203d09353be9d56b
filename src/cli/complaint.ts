/** What is wrong, in one line. */
import type * as CliError from "effect/cli/CliError"

/** What is wrong with an invocation, and what may have been meant. */
export const ofInvocation = (errors: ReadonlyArray<CliError.CliError>): string => errors.map(ofOne).join("; ")

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
