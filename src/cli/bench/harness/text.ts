/** Numbers and tables for people, on a terminal and in Markdown: pure. */

/** A number and what is counted: `1 thread`, `1,234 threads`, `2 processes`. */
export const counted = (count: number, what: string): string => {
  const plural = /(s|sh|x|ch)$/.test(what) ? `${what}es` : `${what}s`
  return `${Math.round(count).toLocaleString("en-US")} ${count === 1 ? what : plural}`
}

/** A whole number: `12,345`. */
export const count = (value: number): string => Math.round(value).toLocaleString("en-US")

/** A number with three significant digits, at most three of them after the point. */
export const significant = (value: number): string =>
  value >= 100 ? count(value) : value.toFixed(value >= 10 ? 1 : value >= 1 ? 2 : 3)

/** A number in a table: as `significant`, but shorter between 0.1 and 1. `-` if there is none. */
export const number = (value: number | null | undefined): string => {
  if (value === null || value === undefined || Number.isNaN(value)) return "-"
  if (value === 0) return "0"
  return value >= 0.1 && value < 1 ? value.toFixed(2) : significant(value)
}

/** Milliseconds in a table: `0.42 ms`, `1.3 s`. */
export const time = (millis: number | null | undefined): string => {
  if (millis === null || millis === undefined) return "-"
  return millis >= 1000 ? `${(millis / 1000).toFixed(1)} s` : `${number(millis)} ms`
}

/** Milliseconds with three significant digits: `0.420 ms`, `1.30 s`. */
export const preciseTime = (millis: number): string =>
  millis >= 1000 ? `${significant(millis / 1000)} s` : `${significant(millis)} ms`

/** The smallest and the largest, if they differ. */
export const range = (values: ReadonlyArray<number>): string => {
  const [low, high] = [number(Math.min(...values)), number(Math.max(...values))]
  return values.length === 0 || low === high ? "" : ` (${low} to ${high})`
}

type Rows = ReadonlyArray<ReadonlyArray<string>>

/** A Markdown table. The first columns (one by default) are text, the others are numbers. Short rows are filled up. */
export const markdown = (head: ReadonlyArray<string>, rows: Rows, textColumns = 1): string =>
  [head, head.map((_, column) => (column < textColumns ? "---" : "---:")), ...rows]
    .map((cells) => `| ${head.map((_, column) => cells[column] ?? "").join(" | ")} |`)
    .join("\n")

/** The lines of a table for a terminal. The first columns are text, the others are aligned to the right. */
export const columns = (rows: Rows, textColumns = Number.POSITIVE_INFINITY): ReadonlyArray<string> => {
  const widths: Array<number> = []
  for (const row of rows)
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length)
  return rows.map((row) =>
    row
      .map((cell, column) => (column < textColumns ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join("  ")
      .trimEnd()
  )
}
