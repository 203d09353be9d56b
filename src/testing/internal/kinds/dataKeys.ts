/** What ConfigMaps and Secrets share: the rules for keys, for sizes, and for what is immutable. */
import { isDeepStrictEqual } from "node:util"
import { forbidden, invalid } from "../causes.ts"
import type { KubeObject } from "../kubeObject.ts"
import type { Cause } from "../reply.ts"

/** A map from keys to values. */
export type Data = Readonly<Record<string, string>>

/** The map in a field of an object. */
export const dataOf = (object: KubeObject, field: string): Data => (object[field] ?? {}) as Data

/** The limit of all values together, in bytes. */
export const maxDataBytes = 1_048_576

/** What is wrong with the keys of a map. */
export const keyProblems = (field: string, data: Data): ReadonlyArray<Cause> =>
  Object.keys(data).flatMap((key) => keyRules(key).map((rule) => invalid(`${field}[${key}]`, key, rule)))

const keyRules = (key: string): ReadonlyArray<string> => [
  ...(key.length > 253 ? ["must be no more than 253 characters"] : []),
  ...(/^[-._a-zA-Z0-9]+$/.test(key) ? [] : [keyRule]),
  ...(key === "." ? ["must not be '.'"] : key === ".." ? ["must not be '..'"] : []),
  ...(key.length > 2 && key.startsWith("..") ? ["must not start with '..'"] : [])
]

const keyRule =
  "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"

/** The problem of values that are too long. */
export const tooLong = (field: string, bytes: number): ReadonlyArray<Cause> =>
  bytes <= maxDataBytes
    ? []
    : [
        {
          reason: "FieldValueTooLong",
          message: `Too long: must have at most ${maxDataBytes} bytes`,
          field
        }
      ]

/** The fields that must not change because the object is immutable. */
export const immutableProblems = (
  object: KubeObject,
  before: KubeObject | undefined,
  fields: ReadonlyArray<string>
): ReadonlyArray<Cause> => {
  if (before?.["immutable"] !== true) return []
  const changed = fields.filter((field) => !isDeepStrictEqual(dataOf(object, field), dataOf(before, field)))
  return [...(object["immutable"] === true ? [] : ["immutable"]), ...changed].map((field) =>
    forbidden(field, "field is immutable when `immutable` is set")
  )
}
