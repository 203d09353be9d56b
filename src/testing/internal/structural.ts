/** What the schema of a CRD does to a custom resource: unknown fields are pruned, defaults filled in, the rest checked. */
import { isDeepStrictEqual } from "node:util"
import { goKind, isRecord } from "./json.ts"
import type { Cause } from "./reply.ts"
import { fieldOf, type Schema, takesAnything } from "./schema.ts"

type Path = ReadonlyArray<string | number>

const join = (path: Path): string =>
  path.reduce<string>(
    (text, part) => (typeof part === "number" ? `${text}[${part}]` : text === "" ? part : `${text}.${part}`),
    ""
  )

/** Fields that every object has, and that no schema lists. */
const always = new Set(["apiVersion", "kind", "metadata"])

/** The value without unknown fields, which are added to `dropped`. */
export const prune = (schema: Schema, value: unknown, dropped: Array<string>, path: Path = []): unknown => {
  if (Array.isArray(value)) {
    return value.map((one, index) => prune(schema.items ?? {}, one, dropped, [...path, index]))
  }
  if (!isRecord(value)) return value
  const hasObjectFields = path.length === 0 || schema["x-kubernetes-embedded-resource"] === true
  const fields: Record<string, unknown> = {}
  for (const [name, child] of Object.entries(value)) {
    const field = fieldOf(schema, name)
    const here = [...path, name]
    if (hasObjectFields && always.has(name)) fields[name] = child
    else if (field === undefined) dropped.push(join(here))
    else fields[name] = prune(field, child, dropped, here)
  }
  return fields
}

/** The value with its defaults. Null counts as absent where it is not allowed. */
export const fillIn = (schema: Schema, value: unknown): unknown => {
  if (Array.isArray(value)) return value.map((one) => fillIn(schema.items ?? {}, one))
  if (!isRecord(value)) return value
  const fields: Record<string, unknown> = {}
  for (const [name, child] of Object.entries(value)) {
    const field = fieldOf(schema, name) ?? {}
    if (child === null && field.nullable !== true && (field.default !== undefined || schema.properties?.[name]))
      continue
    fields[name] = fillIn(field, child)
  }
  for (const [name, field] of Object.entries(schema.properties ?? {})) {
    if (fields[name] === undefined && field.default !== undefined) {
      fields[name] = fillIn(field, structuredClone(field.default))
    }
  }
  return fields
}

/** What is wrong with a value, as the API server words it. */
export const problems = (schema: Schema, value: unknown, path: Path = []): ReadonlyArray<Cause> => {
  const field = join(path)
  const invalid = (message: string, shown: unknown = value, reason = "FieldValueInvalid"): Cause => ({
    reason,
    message: `Invalid value: ${JSON.stringify(shown)}: ${message}`,
    field
  })
  if (value === null && (schema.nullable === true || schema.type === undefined)) return []
  const type = expectedType(schema)
  if (
    type !== undefined &&
    !type.includes(sortOf(value)) &&
    !(type.includes("number") && sortOf(value) === "integer")
  ) {
    const sort = sortOf(value)
    return [
      invalid(`${field} in body must be of type ${type.join(",")}: "${sort}"`, sort, "FieldValueTypeInvalid"),
      ...(type.includes("integer") && sort === "number"
        ? [
            {
              reason: "FieldValueInvalid",
              message: `Invalid value: "": Checked value must be of type integer (default format) in ${field}`,
              field: "<nil>"
            }
          ]
        : [])
    ]
  }
  const own = [...numberProblems(schema, value), ...textProblems(schema, value)].map((rule) =>
    invalid(`${field} in body ${rule}`)
  )
  const isListed = schema.enum === undefined || schema.enum.some((one) => isDeepStrictEqual(one, value))
  const listed = isListed
    ? []
    : [
        {
          reason: "FieldValueNotSupported",
          message: `Unsupported value: ${JSON.stringify(value)}: supported values: ${schema.enum!.map((one) => JSON.stringify(one)).join(", ")}`,
          field
        }
      ]
  return [...own, ...sizeProblems(schema, value, field), ...listed, ...childProblems(schema, value, path)]
}

const expectedType = (schema: Schema): ReadonlyArray<string> | undefined =>
  schema["x-kubernetes-int-or-string"] === true
    ? ["integer", "string"]
    : schema.type === undefined
      ? undefined
      : [schema.type]

const sortOf = (value: unknown): string => {
  if (typeof value === "number") return Number.isInteger(value) ? "integer" : "number"
  return typeof value === "boolean" ? "boolean" : goKind(value)
}

const numberProblems = (schema: Schema, value: unknown): ReadonlyArray<string> => {
  if (typeof value !== "number") return []
  const { exclusiveMaximum, exclusiveMinimum, maximum, minimum, multipleOf } = schema
  const rules: Array<string> = []
  if (minimum !== undefined && (exclusiveMinimum ? value <= minimum : value < minimum)) {
    rules.push(`should be greater than ${exclusiveMinimum ? "" : "or equal to "}${minimum}`)
  }
  if (maximum !== undefined && (exclusiveMaximum ? value >= maximum : value > maximum)) {
    rules.push(`should be less than ${exclusiveMaximum ? "" : "or equal to "}${maximum}`)
  }
  if (multipleOf !== undefined && value % multipleOf !== 0) rules.push(`should be a multiple of ${multipleOf}`)
  return rules
}

const textProblems = (schema: Schema, value: unknown): ReadonlyArray<string> => {
  if (typeof value !== "string") return []
  const { minLength, pattern } = schema
  const rules: Array<string> = []
  if (minLength !== undefined && [...value].length < minLength) {
    rules.push(`should be at least ${minLength} chars long`)
  }
  if (pattern !== undefined && !new RegExp(pattern, "u").test(value)) rules.push(`should match '${pattern}'`)
  return rules
}

const sizeProblems = (schema: Schema, value: unknown, field: string): ReadonlyArray<Cause> => {
  const { maxItems, maxLength, maxProperties, minItems, minProperties } = schema
  const tooMany = (count: number, most: number) => ({
    reason: "FieldValueTooMany",
    message: `Too many: ${count}: must have at most ${most} items`,
    field
  })
  const tooFew = (rule: string) => ({
    reason: "FieldValueInvalid",
    message: `Invalid value: ${JSON.stringify(value)}: ${field} in body should have at least ${rule}`,
    field
  })
  if (typeof value === "string" && maxLength !== undefined && [...value].length > maxLength) {
    return [{ reason: "FieldValueTooLong", message: `Too long: may not be more than ${maxLength} bytes`, field }]
  }
  const count = Array.isArray(value) ? value.length : isRecord(value) ? Object.keys(value).length : undefined
  if (count === undefined) return []
  const [least, most, what] = Array.isArray(value)
    ? [minItems, maxItems, "items"]
    : [minProperties, maxProperties, "properties"]
  if (most !== undefined && count > most) return [tooMany(count, most)]
  return least !== undefined && count < least ? [tooFew(`${least} ${what}`)] : []
}

const childProblems = (schema: Schema, value: unknown, path: Path): ReadonlyArray<Cause> => {
  if (Array.isArray(value)) return value.flatMap((one, index) => problems(schema.items ?? {}, one, [...path, index]))
  if (!isRecord(value) || (takesAnything(schema) && schema.properties === undefined)) return []
  const missing = (schema.required ?? [])
    .filter((name) => value[name] === undefined)
    .map((name) => ({ reason: "FieldValueRequired", message: "Required value", field: join([...path, name]) }))
  const inside = Object.entries(value).flatMap(([name, child]) => {
    const field = path.length === 0 && always.has(name) ? undefined : fieldOf(schema, name)
    return field === undefined ? [] : problems(field, child, [...path, name])
  })
  return [...missing, ...inside]
}
