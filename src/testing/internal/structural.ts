/** What the schema of a CRD does to a custom resource: unknown fields are pruned, defaults filled in, the rest checked. */
import { isDeepStrictEqual } from "node:util"
import { notSupported, required } from "./causes.ts"
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
  const fields: Record<string, unknown> = {}
  for (const [name, child] of Object.entries(value)) {
    const field = fieldOf(schema, name)
    const here = [...path, name]
    if (path.length === 0 && always.has(name)) fields[name] = child
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
  const sort = sortOf(value)
  const isOfType = type === undefined || type.includes(sort) || (type.includes("number") && sort === "integer")
  if (!isOfType) {
    // Go reads a float into an integer of a format, and then finds that it is none.
    const isFloat = schema.type === "integer" && sort === "number"
    const [wanted, found] = isFloat && schema.format !== undefined ? [schema.format, "float64"] : [type.join(","), sort]
    return [
      invalid(`${field} in body must be of type ${wanted}: "${found}"`, found, "FieldValueTypeInvalid"),
      ...(isFloat ? [notInFormat(schema, field)] : [])
    ]
  }
  if (schema.format === "int32" && typeof value === "number" && value !== (value | 0))
    return [notInFormat(schema, field)]
  const own = numberProblems(schema, value).map((rule) => invalid(`${field} in body ${rule}`))
  const isListed = schema.enum === undefined || schema.enum.some((one) => isDeepStrictEqual(one, value))
  const listed = isListed ? [] : [notSupported(field, value, schema.enum!)]
  return [
    ...own,
    ...(typeof value === "string" ? textProblems(schema, value, field) : sizeProblems(schema, value, field)),
    ...listed,
    ...childProblems(schema, value, path)
  ]
}

const notInFormat = ({ format }: Schema, field: string): Cause => ({
  reason: "FieldValueInvalid",
  message: `Invalid value: "": Checked value must be of type integer ${format === undefined ? "(default format)" : `with format ${format}`} in ${field}`,
  field: "<nil>"
})

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

// The first of them is all that the API server tells.
const textProblems = (schema: Schema, value: string, field: string): ReadonlyArray<Cause> => {
  const { maxLength, minLength, pattern } = schema
  const invalid = (rule: string) => [
    { reason: "FieldValueInvalid", message: `Invalid value: ${JSON.stringify(value)}: ${field} in body ${rule}`, field }
  ]
  if (maxLength !== undefined && [...value].length > maxLength) {
    return [{ reason: "FieldValueTooLong", message: `Too long: may not be more than ${maxLength} bytes`, field }]
  }
  if (minLength !== undefined && [...value].length < minLength) {
    return invalid(`should be at least ${minLength} chars long`)
  }
  return pattern === undefined || new RegExp(pattern, "u").test(value) ? [] : invalid(`should match '${pattern}'`)
}

const sizeProblems = (schema: Schema, value: unknown, field: string): ReadonlyArray<Cause> => {
  const { maxItems, maxProperties, minItems, minProperties } = schema
  const tooMany = (count: number, most: number) => ({
    reason: "FieldValueTooMany",
    message: `Too many: ${count}: must have at most ${most} ${most === 1 ? "item" : "items"}`,
    field
  })
  const tooFew = (count: number, rule: string) => ({
    reason: "FieldValueInvalid",
    message: `Invalid value: ${count}: ${field} in body should have at least ${rule}`,
    field
  })
  const count = Array.isArray(value) ? value.length : isRecord(value) ? Object.keys(value).length : undefined
  if (count === undefined) return []
  const [least, most, what] = Array.isArray(value)
    ? [minItems, maxItems, "items"]
    : [minProperties, maxProperties, "properties"]
  if (most !== undefined && count > most) return [tooMany(count, most)]
  return least !== undefined && count < least ? [tooFew(count, `${least} ${what}`)] : []
}

const childProblems = (schema: Schema, value: unknown, path: Path): ReadonlyArray<Cause> => {
  if (Array.isArray(value)) return value.flatMap((one, index) => problems(schema.items ?? {}, one, [...path, index]))
  if (!isRecord(value) || (takesAnything(schema) && schema.properties === undefined)) return []
  const missing = (schema.required ?? [])
    .filter((name) => value[name] === undefined)
    .map((name) => required(join([...path, name])))
  const inside = Object.entries(value).flatMap(([name, child]) => {
    const field = path.length === 0 && always.has(name) ? undefined : fieldOf(schema, name)
    return field === undefined ? [] : problems(field, child, [...path, name])
  })
  return [...missing, ...inside]
}
