/** The two kinds of times in objects, read as strictly as the API server does, and written in UTC. */
import * as Result from "effect/Result"

const pattern = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)$/

/** `metav1.MicroTime`: exactly six digits. */
export const microTime = (text: string): Result.Result<string, string> => {
  const layout = "2006-01-02T15:04:05.000000Z07:00"
  return Result.flatMap(utc(text, layout), ({ fraction, seconds }) =>
    fraction.length === 7
      ? Result.succeed(`${seconds}${fraction}Z`)
      : Result.fail(
          fraction.length > 7
            ? cannotParse(
                text,
                layout,
                `${fraction.slice(7)}${text.slice(text.indexOf(".") + fraction.length)}`,
                "Z07:00"
              )
            : cannotParse(text, layout, text.slice(19), ".000000")
        )
  )
}

/** `metav1.Time`: a fraction is cut off. */
export const wholeSeconds = (text: string): Result.Result<string, string> =>
  Result.map(utc(text, "2006-01-02T15:04:05Z07:00"), ({ seconds }) => `${seconds}Z`)

interface Utc {
  /** `2026-01-01T00:00:00` */
  readonly seconds: string
  /** `.123456`, or nothing. */
  readonly fraction: string
}

const utc = (text: string, layout: string): Result.Result<Utc, string> => {
  const match = pattern.exec(text)
  if (match === null) return Result.fail(cannotParse(text, layout, ...firstProblem(text)))
  const [, year, month, day, hour, minute, second, fraction = "", zone = "Z"] = match
  const range = (what: string) => Result.fail(`parsing time ${JSON.stringify(text)}: ${what} out of range`)
  if (Number(month) < 1 || Number(month) > 12) return range("month")
  if (Number(hour) > 23) return range("hour")
  if (Number(minute) > 59) return range("minute")
  if (Number(second) > 59) return range("second")
  const date = new Date(Date.UTC(2000, Number(month) - 1, 1, Number(hour), Number(minute), Number(second)))
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day))
  if (date.getUTCDate() !== Number(day)) return range("day")
  if (zone !== "Z") {
    const [hours, minutes] = [Number(zone.slice(1, 3)), Number(zone.slice(4))]
    if (hours > 24 || minutes > 60) return range("time zone offset")
    date.setTime(date.getTime() - (zone.startsWith("-") ? -1 : 1) * (hours * 60 + minutes) * 60_000)
  }
  if (date.getUTCFullYear() < 0 || date.getUTCFullYear() > 9999) return range("year")
  return Result.succeed({ seconds: date.toISOString().slice(0, 19), fraction })
}

const cannotParse = (text: string, layout: string, rest: string, element: string) =>
  `parsing time ${JSON.stringify(text)} as ${JSON.stringify(layout)}: cannot parse ${JSON.stringify(rest)} as ${JSON.stringify(element)}`

const elements: ReadonlyArray<readonly [RegExp, string]> = [
  [/^\d{4}/, "2006"],
  [/^-/, "-"],
  [/^\d\d/, "01"],
  [/^-/, "-"],
  [/^\d\d/, "02"],
  [/^T/, "T"],
  [/^\d\d/, "15"],
  [/^:/, ":"],
  [/^\d\d/, "04"],
  [/^:/, ":"],
  [/^\d\d/, "05"],
  [/^(\.\d+)?/, ".000000"]
]

/** Where Go's parser stops, and what it expects there. */
const firstProblem = (text: string): readonly [rest: string, element: string] => {
  let rest = text
  for (const [element, name] of elements) {
    const found = element.exec(rest)
    if (found === null) return [rest, name]
    rest = rest.slice(found[0].length)
  }
  return [rest, "Z07:00"]
}
