/** What the server keeps of an object from a client: the fields that its kind has. */
import * as Result from "effect/Result"
import { decode } from "./goDecoder.ts"
import { isRecord } from "./json.ts"
import type { Kind } from "./kinds/kind.ts"
import type { Draft } from "./kubeObject.ts"
import { objectMeta } from "./schema.ts"
import { fillIn, prune } from "./structural.ts"

/** An object with known fields only, and the paths of the others. */
export interface ReadObject {
  readonly draft: Draft
  readonly dropped: ReadonlyArray<string>
}

/** Reads an object. The failure is the message of Go's decoder. */
export const readObject = (kind: Kind, { metadata, ...object }: Draft): Result.Result<ReadObject, string> => {
  const read = decode(objectMeta, metadata ?? {})
  if (Result.isFailure(read)) return Result.fail(read.failure)
  const lost = read.success.dropped.map((path) => `metadata.${path}`)
  const content = kind.isBuiltIn ? typed(kind, object) : structural(kind, object)
  return Result.map(content, ({ dropped, draft }) => ({
    draft: { ...draft, metadata: read.success.value },
    dropped: [...dropped, ...lost].toSorted()
  }))
}

const typed = (kind: Kind, { apiVersion, kind: name, ...fields }: Draft): Result.Result<ReadObject, string> =>
  Result.map(decode(kind.schema, fields), ({ dropped, value }) => ({
    draft: withoutEmpty({ apiVersion, kind: name, ...(value as Draft) }),
    dropped
  }))

const structural = (kind: Kind, object: Draft): Result.Result<ReadObject, string> => {
  const dropped: Array<string> = []
  const pruned = prune(kind.schema, object, dropped)
  return Result.succeed({ draft: fillIn(kind.schema, pruned) as Draft, dropped })
}

/** Go leaves out empty maps and lists, and null. */
const withoutEmpty = (fields: Draft): Draft =>
  Object.fromEntries(
    Object.entries(fields).filter(
      ([, value]) =>
        value !== null &&
        value !== "" &&
        !(Array.isArray(value) && value.length === 0) &&
        !(isRecord(value) && Object.keys(value).length === 0)
    )
  )
