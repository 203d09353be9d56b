/**
 * Strategic merge patches: a merge patch in which lists of a known key are merged, too, with directives (`$patch`,
 * `$retainKeys`, `$deleteFromPrimitiveList/...`, `$setElementOrder/...`).
 */
import * as Result from "effect/Result"
import { isDeepStrictEqual } from "node:util"
import { isRecord } from "./json.ts"
import { fieldOf, type Schema } from "./schema.ts"

type Fields = Readonly<Record<string, unknown>>

class Unfit extends Error {}

/** Applies a patch. The failure is a sentence about the patch. */
export const strategicMerge = (schema: Schema, object: Fields, patch: Fields): Result.Result<Fields, string> => {
  try {
    return Result.succeed(mergeFields(schema, object, patch))
  } catch (error) {
    if (error instanceof Unfit) return Result.fail(error.message)
    throw error
  }
}

const deleteFrom = "$deleteFromPrimitiveList/"
const orderOf = "$setElementOrder/"

const mergeFields = (schema: Schema, object: Fields, patch: Fields): Fields => {
  const { $patch: directive, $retainKeys: retained, ...changes } = patch
  if (directive === "replace") return changes
  if (directive === "delete") return {}
  if (directive !== undefined && directive !== "merge" && typeof schema.additionalProperties !== "object") {
    throw new Unfit(`Unknown patch type: ${String(directive)} in map`)
  }
  const merged: Record<string, unknown> = { ...object }
  if (directive !== undefined && directive !== "merge") merged["$patch"] = directive
  if (Array.isArray(retained)) {
    for (const name of Object.keys(merged)) if (!retained.includes(name)) delete merged[name]
  }
  for (const [name, change] of Object.entries(changes)) {
    if (name.startsWith(deleteFrom)) {
      const field = name.slice(deleteFrom.length)
      if (Array.isArray(merged[field]) && Array.isArray(change)) {
        merged[field] = (merged[field] as ReadonlyArray<unknown>).filter((one) => !change.includes(one))
      }
    } else if (name.startsWith(orderOf)) {
      continue
    } else if (name.startsWith("$setElementOrder")) {
      throw new Unfit("invalid patch format of setElementOrder list")
    } else if (change === null) {
      delete merged[name]
    } else {
      merged[name] = mergeValue(fieldOf(schema, name) ?? {}, merged[name], change)
    }
  }
  for (const [name, order] of Object.entries(changes)) {
    if (!name.startsWith(orderOf) || !Array.isArray(order)) continue
    const field = name.slice(orderOf.length)
    const list = merged[field]
    if (Array.isArray(list)) merged[field] = sort(fieldOf(schema, field) ?? {}, list, order, lengthOf(object[field]))
  }
  return merged
}

const lengthOf = (value: unknown) => (Array.isArray(value) ? value.length : 0)

const mergeValue = (schema: Schema, old: unknown, change: unknown): unknown => {
  if (isRecord(change)) return mergeFields(schema, isRecord(old) ? old : {}, change)
  if (!Array.isArray(change)) return change
  if (schema["x-kubernetes-patch-strategy"] !== "merge") return change
  const before: ReadonlyArray<unknown> = Array.isArray(old) ? old : []
  const key = schema["x-kubernetes-patch-merge-key"]
  return key === undefined
    ? [...before, ...change.filter((one) => !before.includes(one))]
    : mergeByKey(schema.items ?? {}, key, before, change)
}

const mergeByKey = (
  schema: Schema,
  key: string,
  before: ReadonlyArray<unknown>,
  changes: ReadonlyArray<unknown>
): ReadonlyArray<unknown> => {
  let merged: ReadonlyArray<unknown> = before
  if (changes.some((change) => isRecord(change) && change["$patch"] === "replace")) {
    return changes.filter((change) => !isRecord(change) || change["$patch"] === undefined)
  }
  for (const change of changes) {
    if (!isRecord(change) || change[key] === undefined) {
      throw new Unfit(`map: ${JSON.stringify(change)} does not contain declared merge key: ${key}`)
    }
    const isSame = (one: unknown) => isRecord(one) && isDeepStrictEqual(one[key], change[key])
    if (change["$patch"] === "delete") merged = merged.filter((one) => !isSame(one))
    else if (merged.some(isSame)) {
      merged = merged.map((one) => (isSame(one) ? mergeFields(schema, one as Fields, change) : one))
    } else merged = [...merged, mergeFields(schema, {}, change)]
  }
  return merged
}

/**
 * Sorts a merged list. The elements that the order names come in that order; each of the others stays before the element
 * that followed it.
 */
const sort = (
  schema: Schema,
  list: ReadonlyArray<unknown>,
  order: ReadonlyArray<unknown>,
  oldLength: number
): ReadonlyArray<unknown> => {
  const key = schema["x-kubernetes-patch-merge-key"]
  const keyOf = (one: unknown) => (key !== undefined && isRecord(one) ? one[key] : one)
  const places = new Map(order.map((one, index) => [keyOf(one), index]))
  const place = (one: unknown) => places.get(keyOf(one))
  const named = list.filter((one) => place(one) !== undefined).toSorted((a, b) => place(a)! - place(b)!)
  const others = list.filter((one) => place(one) === undefined)
  // As in the original: an element that only the server has comes first if it stood before the next named one.
  const positions = new Map(list.slice(0, oldLength).map((one, index) => [one, index]))
  const result: Array<unknown> = []
  let next = 0
  for (const other of others) {
    const at = positions.get(other) ?? Number.POSITIVE_INFINITY
    while (next < named.length && (positions.get(named[next]) ?? Number.POSITIVE_INFINITY) < at)
      result.push(named[next++])
    result.push(other)
  }
  return [...result, ...named.slice(next)]
}
