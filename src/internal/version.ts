/**
 * The order of resourceVersions. Pure.
 *
 * Kubernetes documents them as growing decimal numbers within one resource. They can have more digits than a `number` is exact to,
 * and another server may write something else.
 */

/** Whether a version is older than another one. `false` if they cannot be compared. */
export const isOlder = (version: string, other: string): boolean =>
  isDecimal(version) && isDecimal(other) && compareDecimals(version, other) < 0

/** The order of two decimal numbers: negative if the first one is smaller, 0 if they are the same. */
export const compareDecimals = (a: string, b: string): number =>
  a.length === b.length ? (a < b ? -1 : a > b ? 1 : 0) : a.length - b.length

/** Whether a version is a decimal number. */
export const isDecimal = (version: string): boolean => /^(0|[1-9]\d*)$/.test(version)
