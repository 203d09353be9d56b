/** Lists that a CRD calls a set, or a map: no two elements may be the same, or have the same keys. */
import { isRecord, sorted } from "./json.ts"
import type { Cause } from "./reply.ts"
import { fieldOf, type Schema } from "./schema.ts"

/** The elements that a value has twice, as the API server words them. `path` leads to the value. */
export const duplicates = (schema: Schema, value: unknown, path = ""): ReadonlyArray<Cause> => {
  if (Array.isArray(value)) {
    return [
      ...ownDuplicates(schema, value, path),
      ...value.flatMap((one, index) => duplicates(schema.items ?? {}, one, `${path}[${index}]`))
    ]
  }
  if (!isRecord(value)) return []
  return Object.entries(value).flatMap(([name, child]) => {
    const isField = schema.properties !== undefined && Object.hasOwn(schema.properties, name)
    const here = isField ? (path === "" ? name : `${path}.${name}`) : `${path}[${name}]`
    return duplicates(fieldOf(schema, name) ?? {}, child, here)
  })
}

const ownDuplicates = (schema: Schema, list: ReadonlyArray<unknown>, path: string): ReadonlyArray<Cause> => {
  const identify = identityIn(schema)
  if (identify === undefined) return []
  const times = new Map<string, number>()
  return list.flatMap((one, index) => {
    const identity = JSON.stringify(identify(one))
    const before = times.get(identity) ?? 0
    times.set(identity, before + 1)
    return before === 1
      ? [{ reason: "FieldValueDuplicate", message: `Duplicate value: ${identity}`, field: `${path}[${index}]` }]
      : []
  })
}

// What tells an element of a list from another; `undefined` if any may be there twice.
const identityIn = (schema: Schema): ((element: unknown) => unknown) | undefined => {
  const keys = (schema["x-kubernetes-list-map-keys"] ?? []).toSorted()
  switch (schema["x-kubernetes-list-type"]) {
    case "set":
      return sorted
    case "map":
      return (element) => Object.fromEntries(keys.map((key) => [key, Object(element)[key]]))
    default:
      return undefined
  }
}
