/** What is wrong with a field, as the API server words it. */
import type { Cause } from "./reply.ts"

/** The field is missing. */
export const required = (field: string, rule?: string): Cause => ({
  reason: "FieldValueRequired",
  message: rule === undefined ? "Required value" : `Required value: ${rule}`,
  field
})

/** The field must not be there, or not with this value. */
export const forbidden = (field: string, rule: string): Cause => ({
  reason: "FieldValueForbidden",
  message: `Forbidden: ${rule}`,
  field
})

/** The value breaks a rule. */
export const invalid = (field: string, value: unknown, rule: string): Cause => ({
  reason: "FieldValueInvalid",
  message: `Invalid value: ${JSON.stringify(value) ?? "null"}: ${rule}`,
  field
})

/** The value is none of those that are supported. */
export const notSupported = (field: string, value: unknown, supported: ReadonlyArray<unknown>): Cause => ({
  reason: "FieldValueNotSupported",
  message: `Unsupported value: ${JSON.stringify(value)}: supported values: ${supported.map((one) => JSON.stringify(one)).join(", ")}`,
  field
})
