/** Answers without what two versions of the API server word differently. */
import type { Answer } from "./converse.ts"

export const comparable = ({ body, status }: Answer): unknown => ({ status, body: plain(body) })

const plain = (value: unknown, key = ""): unknown => {
  if (Array.isArray(value)) {
    // Cells of times depend on when they were asked for.
    return key === "cells"
      ? value.map((cell) => (/^\d+[smhdy]/.test(String(cell)) ? "AGE" : cell))
      : value.map((one) => plain(one))
  }
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(
      Object.entries(value)
        .map(([field, one]) => [field, plain(one, field)] as const)
        .filter(([, one]) => one !== undefined)
        .toSorted(([a], [b]) => (a < b ? -1 : 1))
    )
  }
  // The descriptions of columns are long, and nobody relies on them.
  if (key === "description") return "DESCRIPTION"
  return key === "message" && typeof value === "string" ? reworded(value) : value
}

const decoder =
  /error found in #|unknown conversion|marked as storage version|json: |looking for beginning of|strconv|base64|unmarshal|cannot convert|parsing time|registered for version/

const reworded = (message: string): string =>
  decoder.test(message)
    ? "THE DECODER'S WORDS"
    : message
        .replace("must to greater or equal than 0", "must be greater than or equal to 0")
        .replace("Invalid value: 0x0:", "Invalid value: 0:")
        .replaceAll('[]string{"Some"}', '["Some"]')
        .replaceAll('[]string{""}', '[""]')
        .replace(/expected: .*/, "expected: AN OPERATOR")
