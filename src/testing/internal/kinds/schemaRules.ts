/** What the schema of a definition must say, and must not. */
import { forbidden, invalid, notSupported, required } from "../causes.ts"
import { isRecord } from "../json.ts"
import type { Cause } from "../reply.ts"
import type { Schema } from "../schema.ts"
import { problems, prune } from "../structural.ts"

const types = ["array", "boolean", "integer", "number", "object", "string"]
const listTypes = ["atomic", "set", "map"]

/** What is wrong with a schema within another one, as the API server words it. `field` leads to it. */
export const schemaProblems = (schema: Schema, field: string): ReadonlyArray<Cause> => [
  ...Object.entries(schema.properties ?? {}).flatMap(([name, child]) =>
    childProblems(child, `${field}.properties[${name}]`, "object fields")
  ),
  ...(isRecord(schema.additionalProperties)
    ? childProblems(schema.additionalProperties, `${field}.additionalProperties`, "object fields")
    : []),
  ...(schema.items === undefined ? [] : childProblems(schema.items, `${field}.items`, "array items")),
  ...(schema.properties !== undefined && isRecord(schema.additionalProperties)
    ? [forbidden(`${field}.additionalProperties`, "additionalProperties and properties are mutual exclusive")]
    : []),
  ...(schema.type === "array" && schema.items === undefined ? [required(`${field}.items`, "must be specified")] : []),
  ...listProblems(schema, field),
  ...defaultProblems(schema, `${field}.default`)
]

const childProblems = (schema: Schema, field: string, of: string): ReadonlyArray<Cause> => [
  ...typeProblems(schema, `${field}.type`, of),
  ...schemaProblems(schema, field)
]

const typeProblems = (schema: Schema, field: string, of: string): ReadonlyArray<Cause> => {
  if (schema.type !== undefined) return types.includes(schema.type) ? [] : [notSupported(field, schema.type, types)]
  const takesTypes = schema["x-kubernetes-int-or-string"] ?? schema["x-kubernetes-preserve-unknown-fields"]
  return takesTypes === true ? [] : [required(field, `must not be empty for specified ${of}`)]
}

const listProblems = (schema: Schema, field: string): ReadonlyArray<Cause> => {
  const { items, type } = schema
  const listType = schema["x-kubernetes-list-type"]
  const keys = schema["x-kubernetes-list-map-keys"] ?? []
  const where = `${field}.x-kubernetes-list-type`
  if (listType === undefined) return []
  if (type !== "array") return [invalid(`${field}.type`, type, "must be array if x-kubernetes-list-type is specified")]
  if (!listTypes.includes(listType)) return [notSupported(where, listType, listTypes)]
  if (listType !== "map" && keys.length > 0) {
    return [invalid(where, listType, "must be map if x-kubernetes-list-map-keys is non-empty")]
  }
  if (listType === "map") return mapProblems(items ?? {}, keys, field)
  return listType === "set" && items?.type === "object" && items["x-kubernetes-map-type"] !== "atomic"
    ? [
        invalid(
          `${field}.items.x-kubernetes-map-type`,
          items["x-kubernetes-map-type"],
          "must be atomic as item of a list with x-kubernetes-list-type=set"
        )
      ]
    : []
}

const mapProblems = (items: Schema, keys: ReadonlyArray<string>, field: string): ReadonlyArray<Cause> => {
  const where = `${field}.x-kubernetes-list-map-keys`
  const { properties = {} } = items
  if (items.type !== "object") {
    const rule = "must be object if parent array's x-kubernetes-list-type is map"
    return [invalid(`${field}.items.type`, items.type, rule)]
  }
  if (keys.length === 0) return [required(where, "must not be empty if x-kubernetes-list-type is map")]
  if (!keys.every((key) => key in properties)) {
    return [invalid(where, keys, "entries must all be names of item properties")]
  }
  return keys
    .filter((key) => properties[key]!.default === undefined && items.required?.includes(key) !== true)
    .map((key) =>
      required(
        `${field}.items.properties[${key}].default`,
        "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
      )
    )
}

const defaultProblems = (schema: Schema, field: string): ReadonlyArray<Cause> => {
  if (schema.default === undefined) return []
  const unknown: Array<string> = []
  prune(schema, schema.default, unknown, [""])
  return unknown.length > 0
    ? [invalid(field, schema.default, "must not have unknown fields")]
    : problems(schema, schema.default).map(({ message, reason, ...cause }) => ({
        reason,
        message,
        field: cause.field === "" ? field : `${field}.${cause.field}`
      }))
}
