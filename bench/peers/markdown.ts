/** Markdown's tables, and numbers in them: pure. */

/** A table; the first columns (one by default) are text, the others are numbers. A short row ends in empty cells. */
export const table = (
  head: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<string>>,
  textColumns = 1
): string =>
  [head, head.map((_, column) => (column < textColumns ? "---" : "---:")), ...rows]
    .map((cells) => `| ${head.map((_, column) => cells[column] ?? "").join(" | ")} |`)
    .join("\n")

/** A number with about three significant digits; `-` where there is none. */
export const number = (value: number | null | undefined): string => {
  if (value === null || value === undefined || Number.isNaN(value)) return "-"
  if (value === 0) return "0"
  if (value >= 100) return Math.round(value).toLocaleString("en-US")
  return value >= 10 ? value.toFixed(1) : value.toFixed(value >= 0.1 ? 2 : 3)
}

/** Milliseconds, for people: `0.42 ms`, `1.3 s`. */
export const time = (millis: number | null | undefined): string => {
  if (millis === null || millis === undefined) return "-"
  return millis >= 1000 ? `${(millis / 1000).toFixed(1)} s` : `${number(millis)} ms`
}

/** The smallest and the largest, where they differ. */
export const range = (values: ReadonlyArray<number>): string => {
  const [low, high] = [number(Math.min(...values)), number(Math.max(...values))]
  return values.length === 0 || low === high ? "" : ` (${low} to ${high})`
}
