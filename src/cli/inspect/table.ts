/** Locks as the rows of a table. Pure. */
import * as CliOutput from "effect/cli/CliOutput"
import * as rfc3339 from "../../internal/time/rfc3339.ts"
import { humanDuration } from "../../testing/internal/humanDuration.ts"
import type { Holder, View } from "./view.ts"

/** Which columns there are. */
export interface Columns {
  readonly namespaces: boolean
  readonly wide: boolean
}

/** The lines of the table, the heading first. `now` is the time on the server, in milliseconds since 1970. */
export const lines = (views: ReadonlyArray<View>, columns: Columns, now: number): ReadonlyArray<string> => {
  const rows = [headings(columns), ...views.map((view) => cells(view, columns, now))]
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => CliOutput.displayWidth(row[column]!))))
  return rows.map((row) =>
    row
      .map((cell, column) => cell + " ".repeat(widths[column]! - CliOutput.displayWidth(cell)))
      .join("   ")
      .trimEnd()
  )
}

const headings = ({ namespaces, wide }: Columns): ReadonlyArray<string> => [
  ...(namespaces ? ["NAMESPACE"] : []),
  "NAME",
  "KIND",
  "STATE",
  "HOLDER",
  "SINCE",
  "EXPIRES",
  "WAITING",
  ...(wide ? ["KEPT ON", "QUEUE"] : [])
]

const cells = (view: View, { namespaces, wide }: Columns, now: number): ReadonlyArray<string> => {
  const { holders, id, kind, limit, name, namespace, resource, state, waiters } = view
  const [first] = holders.toSorted((a, b) => (a.expires ?? "").localeCompare(b.expires ?? ""))
  return [
    ...(namespaces ? [namespace] : []),
    id ?? name,
    limit === undefined ? kind : `${kind} of ${limit}`,
    state,
    holderCell(holders, wide),
    first?.since === undefined ? none : `${span(now, first.since)} ago`,
    first === undefined ? none : expiryCell(first, now),
    String(waiters.length),
    ...(wide ? [`${resource}/${name}`, waiters.length === 0 ? none : waiters.join(",")] : [])
  ]
}

const none = "-"

const holderCell = (holders: ReadonlyArray<Holder>, wide: boolean): string => {
  const [first, ...others] = holders.map(named)
  if (first === undefined) return none
  if (others.length === 0) return first
  return wide ? [first, ...others].join(",") : `${first} and ${others.length} more`
}

/** A holder for people to read. */
export const named = ({ holder = "unnamed, probably Dex", mode, permits }: Holder): string => {
  const what = mode ?? (permits === undefined || permits === 1 ? undefined : `${permits} permits`)
  return what === undefined ? holder : `${holder} (${what})`
}

const expiryCell = ({ expires, isExpired, session }: Holder, now: number): string => {
  if (expires === undefined && session !== undefined) return isExpired ? "session ended" : `with ${session}`
  if (expires === undefined) return none
  return millisUntil(expires, now) < 0 ? `${span(now, expires)} ago` : `in ${span(now, expires)}`
}

const span = (now: number, time: string): string => humanDuration(Math.abs(millisUntil(time, now)))

const millisUntil = (time: string, now: number): number => (rfc3339.parse(time)?.seconds ?? 0) * 1000 - now
