/** JSON as Go's decoder sees it. */
import * as Result from "effect/Result"

/** Whether a value is a JSON object. */
export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** The name of the type of a value in messages of Go's JSON decoder. */
export const goKind = (value: unknown): string =>
  Array.isArray(value) ? "array" : typeof value === "boolean" ? "bool" : value === null ? "null" : typeof value

/** Parses JSON. The failure is the message of Go's decoder, as far as it can be derived. */
export const parseJson = (text: string): Result.Result<unknown, string> =>
  Result.mapError(
    Result.try((): unknown => JSON.parse(text)),
    (error) => {
      const message = error instanceof Error ? error.message : ""
      const at = /at position (\d+)/.exec(message)?.[1]
      const token = /^Unexpected token '(.)'/su.exec(message)?.[1] ?? (at === undefined ? undefined : text[Number(at)])
      if (token === undefined || message.startsWith("Unterminated")) return "unexpected end of JSON input"
      return message.startsWith("Expected property name")
        ? `invalid character '${token}' looking for beginning of object key string`
        : `invalid character '${token}' looking for beginning of value`
    }
  )

/** The value with the fields of its objects in the order of their names, as Go writes maps. */
export const sorted = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(sorted)
  if (!isRecord(value)) return value
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, child]) => [name, sorted(child)])
  )
}

/**
 * Whether the texts of a value stand in this JSON as Go spells them: `&`, `<`, `>` and two separators of lines are escaped, and nothing
 * else that need not be.
 */
export const isSpelledByGo = (json: string, value: unknown): boolean =>
  typeof value === "string"
    ? json.includes(
        JSON.stringify(value).replaceAll(
          /[&<>\u2028\u2029]/g,
          (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`
        )
      )
    : Object.values(value ?? {}).every((child) => isSpelledByGo(json, child))
