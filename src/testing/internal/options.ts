/** The options of writes in a query: `dryRun` and `fieldValidation`. */
import { notSupported } from "./causes.ts"
import * as Reply from "./reply.ts"

/** The kinds of options, by the verb that takes them. */
export type OptionsKind = "CreateOptions" | "UpdateOptions" | "PatchOptions" | "DeleteOptions"

/** What is wrong with the values of `dryRun`, if anything is. */
export const dryRunProblem = (values: ReadonlyArray<unknown>, kind: OptionsKind): Reply.Reply | undefined =>
  values.every((value) => value === "All")
    ? undefined
    : Reply.invalid(kind, "meta.k8s.io", "", [notSupported("dryRun", values, ["All"])])

/** What is wrong with the options of a write, if anything is. */
export const optionsProblem = (query: URLSearchParams, kind: OptionsKind): Reply.Reply | undefined => {
  if (query.size === 0) return undefined
  const validation = query.get("fieldValidation")
  if (validation !== null && !validations.has(validation)) {
    return Reply.invalid(kind, "meta.k8s.io", "", [
      notSupported("fieldValidation", validation, ["", "Ignore", "Strict", "Warn"])
    ])
  }
  return dryRunProblem(query.getAll("dryRun"), kind)
}

const validations = new Set(["", "Ignore", "Strict", "Warn"])

/** Whether a write is a dry run, by its query. */
export const isDryRun = (query: URLSearchParams): boolean => query.getAll("dryRun").includes("All")

/** The sentence about fields that a kind does not have. */
export const unknownFields = (paths: ReadonlyArray<string>): string =>
  paths.map((path) => `unknown field ${JSON.stringify(path)}`).join(", ")

/** Adds the warnings about fields that were dropped. */
export const withWarnings = (reply: Reply.Reply, paths: ReadonlyArray<string>, query: URLSearchParams): Reply.Reply =>
  paths.length === 0 || query.get("fieldValidation") === "Ignore"
    ? reply
    : {
        ...reply,
        headers: {
          ...reply.headers,
          warning: paths.map((path) => `299 - ${JSON.stringify(unknownFields([path]))}`).join(", ")
        }
      }
