/** Objects as a `meta.k8s.io/v1` Table, which `kubectl get` asks for. */
import { age, name } from "./kinds/columns.ts"
import type { Column, Kind } from "./kinds/kind.ts"
import type { Version } from "./objectTable.ts"

/** What a table depends on. */
export interface TableOptions {
  readonly kind: Kind
  readonly query: URLSearchParams
  /** The time of the server, RFC 3339. */
  readonly now: string
}

const fallback: ReadonlyArray<Column> = [name, age]

/** A table with a row for each object, as JSON. `columns: false` leaves out the head, as later events of a watch do. */
export const tableOf = (
  { kind, now, query }: TableOptions,
  versions: ReadonlyArray<Version>,
  metadata: object,
  { columns: withColumns = true } = {}
): string => {
  const columns = kind.columns ?? fallback
  const millis = Date.parse(now)
  const include = query.get("includeObject") ?? "Metadata"
  const rows = versions.map((version) => {
    const cells = JSON.stringify(columns.map(({ cell }) => cell(version.object, millis)))
    const object = include === "None" ? "null" : version.json(include === "Object" ? "Whole" : "Partial")
    return `{"cells":${cells},"object":${object}}`
  })
  const definitions = columns.map(({ description, format = "", name, priority = 0, type }) => ({
    name,
    type,
    format,
    description,
    priority
  }))
  return `{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":${JSON.stringify(metadata)},"columnDefinitions":${
    withColumns ? JSON.stringify(definitions) : "null"
  },"rows":[${rows.join(",")}]}`
}
