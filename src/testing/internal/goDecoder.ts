/**
 * Reads JSON into the fields of a Go type, as the API server does for built-in kinds and for metadata: unknown fields
 * are dropped, null is the zero value, times become UTC, and a wrong type is the error of Go's decoder.
 */
import * as Result from "effect/Result"
import { goKind, isRecord } from "./json.ts"
import { fieldOf, type Schema, takesAnything } from "./schema.ts"
import { microTime, wholeSeconds } from "./kubeTime.ts"

/** What was read, and the paths of the fields that were dropped. */
export interface Decoded {
  readonly value: unknown
  readonly dropped: ReadonlyArray<string>
}

class Mismatch extends Error {}

/** Reads a value. The failure is the message of Go's decoder. */
export const decode = (schema: Schema, value: unknown): Result.Result<Decoded, string> => {
  const dropped: Array<string> = []
  try {
    return Result.succeed({ value: read(schema, value, schema.title ?? "", [], dropped), dropped })
  } catch (error) {
    if (error instanceof Mismatch) return Result.fail(error.message)
    throw error
  }
}

const read = (
  schema: Schema,
  value: unknown,
  struct: string,
  path: ReadonlyArray<string>,
  dropped: Array<string>
): unknown => {
  const mismatch = (sort = goKind(value)): never => {
    const where = path.length === 0 ? "value" : `struct field ${struct}.${path.join(".")}`
    throw new Mismatch(`json: cannot unmarshal ${sort} into Go ${where} of type ${goType(schema)}`)
  }
  switch (schema.type) {
    case "object": {
      if (!isRecord(value)) return mismatch()
      if (takesAnything(schema)) return value
      const isMap = typeof schema.additionalProperties === "object"
      const inside = schema.title ?? struct
      const fields: Record<string, unknown> = {}
      for (const [name, child] of Object.entries(value)) {
        const field = fieldOf(schema, name)
        if (field === undefined) dropped.push([...path, name].join("."))
        else if (child !== null) fields[name] = read(field, child, inside, isMap ? path : [...path, name], dropped)
        else if (isMap) fields[name] = ""
      }
      return fields
    }
    case "array":
      if (!Array.isArray(value)) return mismatch()
      return value.map((one) => (one === null ? "" : read(schema.items ?? {}, one, struct, path, dropped)))
    case "string":
      return typeof value === "string" ? readText(schema.format, value) : mismatch()
    case "boolean":
      return typeof value === "boolean" ? value : mismatch()
    case "integer":
      if (typeof value !== "number") return mismatch()
      return Number.isInteger(value) && Math.abs(value) <= limit(schema, value) ? value : mismatch(`number ${value}`)
    default:
      return value
  }
}

const limit = (schema: Schema, value: number) =>
  schema.format === "int32" ? (value < 0 ? 2 ** 31 : 2 ** 31 - 1) : 2 ** 63

const readText = (format: string | undefined, value: string): string => {
  const reader = format === undefined ? undefined : readers[format]
  return reader === undefined ? value : Result.getOrThrowWith(reader(value), (message) => new Mismatch(message))
}

/** Base64 as Go reads it: with padding, and line ends are skipped. */
const base64 = (value: string): Result.Result<string, string> => {
  const bare = value.replaceAll(/[\r\n]/g, "")
  if (/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(bare)) {
    return Result.succeed(Buffer.from(bare, "base64").toString("base64"))
  }
  const wrong = bare.search(/[^A-Za-z0-9+/]/)
  return Result.fail(`illegal base64 data at input byte ${wrong < 0 ? bare.length - (bare.length % 4) : wrong}`)
}

const readers: Readonly<Record<string, (value: string) => Result.Result<string, string>>> = {
  byte: base64,
  "date-time": wholeSeconds,
  "micro-time": microTime
}

const goType = (schema: Schema): string => {
  switch (schema.type) {
    case "object":
      return typeof schema.additionalProperties === "object"
        ? `map[string]${goType(schema.additionalProperties)}`
        : schema.title === "ObjectMeta"
          ? "ObjectMeta"
          : `v1.${schema.title}`
    case "array":
      return `[]${goType(schema.items ?? {})}`
    case "boolean":
      return "bool"
    case "integer":
      return schema.format ?? "int64"
    default:
      return schema.format === "byte" ? "[]uint8" : "string"
  }
}
