/**
 * RFC 3339 times, read exactly as Go's `time.Parse(time.RFC3339, value)` reads them.
 *
 * Dex, which is written in Go, writes these values and reads ours. JavaScript's `Date` accepts values that Go rejects,
 * and rejects values that Go accepts.
 *
 * Go accepts an hour of one or two digits, `.` or `,` before a fraction of any length (cut off at nanoseconds), offsets
 * up to 24 hours and 60 minutes, and the years 0000 to 9999 of the proleptic Gregorian calendar. It accepts no leap
 * second.
 */
import * as DateTime from "effect/DateTime"

/** A point in time: whole seconds since 1970, and `nanos` within that second (0 to 999,999,999). */
export interface Instant {
  readonly seconds: number
  readonly nanos: number
}

const pattern = /^(\d{4})-(\d\d)-(\d\d)T(\d\d?):(\d\d):(\d\d)(?:[.,](\d+))?(?:Z|([+-])(\d\d):(\d\d))$/

// Date.UTC maps the years 0 to 99 to 1900 to 1999. The calendar repeats every 400 years, so the next cycle is used
// instead.
const cycleYears = 400
const cycleSeconds = 146_097 * 86_400

const daysInMonth = (year: number, month: number): number =>
  month === 2
    ? year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)
      ? 29
      : 28
    : [4, 6, 9, 11].includes(month)
      ? 30
      : 31

/** Reads a value as Go does. Returns `undefined` if Go would return an error. */
export const parse = (value: string): Instant | undefined => {
  const match = pattern.exec(value)
  if (match === null) return undefined
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number
  ]
  const [fraction = "", sign, offsetHours, offsetMinutes] = match.slice(7)
  if (month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month)) return undefined
  if (hour > 23 || minute > 59 || second > 59) return undefined
  if (Number(offsetHours ?? 0) > 24 || Number(offsetMinutes ?? 0) > 60) return undefined
  const offset = (Number(offsetHours ?? 0) * 60 + Number(offsetMinutes ?? 0)) * 60 * (sign === "-" ? -1 : 1)
  const local = Date.UTC(year + cycleYears, month - 1, day, hour, minute, second) / 1000 - cycleSeconds
  return { seconds: local - offset, nanos: Number(fraction.slice(0, 9).padEnd(9, "0")) }
}

/** Writes whole seconds since 1970 in UTC, in the form that Go writes: `2026-11-24T10:20:00Z`. */
export const format = (seconds: number): string => {
  if (last.seconds !== seconds) {
    last = { seconds, text: `${DateTime.formatIso(DateTime.makeUnsafe(seconds * 1000)).slice(0, 19)}Z` }
  }
  return last.text
}

// Leases that are written in the same second end at the same time, and share its text: a process may hold thousands.
let last = { seconds: Number.NaN, text: "" }

/** Writes milliseconds since 1970 in UTC, with six digits after the second, as a MicroTime of Kubernetes must have them. */
export const formatMicros = (millis: number): string =>
  DateTime.formatIso(DateTime.makeUnsafe(Math.floor(millis))).replace(/\.(\d{3})Z$/, ".$1000Z")
