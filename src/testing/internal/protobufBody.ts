/**
 * Objects in Kubernetes' protobuf encoding, as `kubectl` 1.32 and newer sends those that it makes itself. Only the fields
 * that it sets are known; another one is an error.
 */
import * as Result from "effect/Result"
import type { Draft } from "./kubeObject.ts"

/** Whether a body is in this encoding. */
export const isProtobuf = (contentType: string | undefined): boolean =>
  contentType?.startsWith("application/vnd.kubernetes.protobuf") === true

/** How a field is encoded. */
type Field =
  | { readonly name: string; readonly as: "text" | "int" | "bool" | "time" | "texts" | "map" | "byteMap" }
  | { readonly name: string; readonly as: "message"; readonly fields: Fields }

type Fields = Readonly<Record<number, Field>>

const text = (name: string): Field => ({ name, as: "text" })
const message = (name: string, fields: Fields): Field => ({ name, as: "message", fields })

const metadata = message("metadata", {
  1: text("name"),
  2: text("generateName"),
  3: text("namespace"),
  4: text("selfLink"),
  5: text("uid"),
  6: text("resourceVersion"),
  7: { name: "generation", as: "int" },
  8: { name: "creationTimestamp", as: "time" },
  11: { name: "labels", as: "map" },
  12: { name: "annotations", as: "map" },
  14: { name: "finalizers", as: "texts" }
})

const kinds: Readonly<Record<string, Fields>> = {
  Namespace: {
    1: metadata,
    2: message("spec", { 1: { name: "finalizers", as: "texts" } }),
    3: message("status", { 1: text("phase") })
  },
  ConfigMap: {
    1: metadata,
    2: { name: "data", as: "map" },
    3: { name: "binaryData", as: "byteMap" },
    4: { name: "immutable", as: "bool" }
  },
  Secret: {
    1: metadata,
    2: { name: "data", as: "byteMap" },
    3: text("type"),
    4: { name: "stringData", as: "map" },
    5: { name: "immutable", as: "bool" }
  },
  SelfSubjectAccessReview: {
    1: metadata,
    2: message("spec", {
      1: message("resourceAttributes", {
        1: text("namespace"),
        2: text("verb"),
        3: text("group"),
        4: text("version"),
        5: text("resource"),
        6: text("subresource"),
        7: text("name")
      }),
      2: message("nonResourceAttributes", { 1: text("path"), 2: text("verb") })
    }),
    3: message("status", {
      1: { name: "allowed", as: "bool" },
      2: text("reason"),
      3: text("evaluationError"),
      4: { name: "denied", as: "bool" }
    })
  },
  SelfSubjectRulesReview: {
    1: metadata,
    2: message("spec", { 1: text("namespace") }),
    3: message("status", { 3: { name: "incomplete", as: "bool" }, 4: text("evaluationError") })
  }
}

class Unreadable extends Error {}

/** Reads an object. The failure says what cannot be read. */
export const readProtobuf = (body: Uint8Array): Result.Result<Draft, string> => {
  try {
    return Result.succeed(readEnvelope(Buffer.from(body)))
  } catch (error) {
    if (error instanceof Unreadable || error instanceof RangeError) return Result.fail(error.message)
    throw error
  }
}

const readEnvelope = (body: Buffer): Draft => {
  if (body.subarray(0, 4).toString("latin1") !== "k8s\0") throw new Unreadable("no protobuf of Kubernetes")
  const parts = new Map(split(body.subarray(4)).map(({ field, value }) => [field, value]))
  const type = readMessage(bytesOf(parts.get(1)), { 1: text("apiVersion"), 2: text("kind") })
  const fields = kinds[String(type["kind"])]
  if (fields === undefined) throw new Unreadable(`a ${String(type["kind"])} in protobuf`)
  return { ...type, ...readMessage(bytesOf(parts.get(2)), fields) }
}

interface Part {
  readonly field: number
  readonly value: Buffer | number
}

/** The fields of a message, in their order. */
const split = (bytes: Buffer): ReadonlyArray<Part> => {
  const parts: Array<Part> = []
  let at = 0
  const varint = (): number => {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = bytes.readUInt8(at++)
      value += (byte & 127) * factor
      if (byte < 128) return value
    }
  }
  while (at < bytes.length) {
    const tag = varint()
    const wireType = tag & 7
    const field = Math.floor(tag / 8)
    if (wireType === 0) {
      parts.push({ field, value: varint() })
    } else if (wireType === 2) {
      const length = varint()
      if (at + length > bytes.length) throw new Unreadable("half a message in protobuf")
      parts.push({ field, value: bytes.subarray(at, at + length) })
      at += length
    } else throw new Unreadable(`the wire type ${wireType} in protobuf`)
  }
  return parts
}

const bytesOf = (value: Buffer | number | undefined): Buffer => (Buffer.isBuffer(value) ? value : Buffer.alloc(0))

const readMessage = (bytes: Buffer, fields: Fields): Record<string, unknown> => {
  const object: Record<string, unknown> = {}
  for (const { field: number, value } of split(bytes)) {
    const field = fields[number]
    if (field === undefined) throw new Unreadable(`the field ${number} in protobuf`)
    const { name } = field
    switch (field.as) {
      case "text":
        object[name] = bytesOf(value).toString()
        break
      case "int":
        object[name] = Number(value)
        break
      case "bool":
        object[name] = value === 1
        break
      case "texts":
        object[name] = [...((object[name] as ReadonlyArray<string> | undefined) ?? []), bytesOf(value).toString()]
        break
      case "map":
      case "byteMap": {
        const entry = new Map(split(bytesOf(value)).map((part) => [part.field, part.value]))
        const [key, content] = [bytesOf(entry.get(1)).toString(), bytesOf(entry.get(2))]
        object[name] = {
          ...(object[name] as object | undefined),
          [key]: content.toString(field.as === "map" ? "utf8" : "base64")
        }
        break
      }
      case "time": {
        const seconds = split(bytesOf(value)).find((part) => part.field === 1)?.value
        if (seconds !== undefined) object[name] = new Date(Number(seconds) * 1000).toISOString()
        break
      }
      case "message":
        object[name] = readMessage(bytesOf(value), field.fields)
    }
  }
  return object
}
