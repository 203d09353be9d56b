/** Text of the programs' output. */

/** A number and what is counted: `1 thread`, `1,234 threads`, `2 processes`. */
export const counted = (count: number, what: string): string => {
  const plural = /(s|sh|x|ch)$/.test(what) ? `${what}es` : `${what}s`
  return `${Math.round(count).toLocaleString("en-US")} ${count === 1 ? what : plural}`
}
