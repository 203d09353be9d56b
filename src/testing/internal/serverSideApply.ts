/** Server-side apply: merges what a manager applies into an object, and takes away what it no longer applies. */
import { childrenOf, difference, elementOf, type FieldSet, hasWithin, type Path, show } from "./fieldSet.ts"
import { isRecord } from "./json.ts"
import type { Conflict } from "./managedFields.ts"
import * as Reply from "./reply.ts"
import { fieldOf, type Schema } from "./schema.ts"

/** The object with the applied fields in it. */
export const mergeApplied = (schema: Schema, live: unknown, applied: unknown): unknown => {
  if (isRecord(applied) && isRecord(live) && childrenOf(schema, applied) !== undefined) {
    const merged: Record<string, unknown> = { ...live }
    for (const [name, value] of Object.entries(applied)) {
      merged[name] = name in live ? mergeApplied(fieldOf(schema, name) ?? {}, live[name], value) : value
    }
    return merged
  }
  const element = elementOf(schema)
  if (!Array.isArray(applied) || !Array.isArray(live) || element === undefined) return applied
  const before = new Map(live.map((one) => [element(one), one as unknown]))
  const names = new Set(applied.map(element))
  return [
    ...live.filter((one) => !names.has(element(one))),
    ...applied.map((one) => {
      const old = before.get(element(one))
      return old === undefined ? one : mergeApplied(schema.items ?? {}, old, one)
    })
  ]
}

/** The object without the fields that a manager applied before, applies no longer, and that nobody else owns. */
export const withoutAbandoned = (
  schema: Schema,
  merged: unknown,
  { applied, before, others }: { readonly applied: FieldSet; readonly before: FieldSet; readonly others: FieldSet }
): unknown => {
  const abandoned = [...difference(before, applied).values()]
    .filter((path) => !hasWithin(others, path) && !hasWithin(applied, path))
    .toSorted((a, b) => b.length - a.length)
  return abandoned.reduce<unknown>((object, path) => remove(schema, object, path), merged)
}

const remove = (schema: Schema, value: unknown, [element, ...rest]: Path): unknown => {
  if (element === undefined) return value
  if (isRecord(value)) {
    const name = element.slice(2)
    if (!(name in value)) return value
    const { [name]: child, ...others } = value
    return rest.length === 0 ? others : { ...others, [name]: remove(fieldOf(schema, name) ?? {}, child, rest) }
  }
  const nameOf = elementOf(schema)
  if (!Array.isArray(value) || nameOf === undefined) return value
  return rest.length === 0
    ? value.filter((one) => nameOf(one) !== element)
    : value.map((one) => (nameOf(one) === element ? remove(schema.items ?? {}, one, rest) : (one as unknown)))
}

/** The response to conflicts. */
export const conflictReply = (conflicts: ReadonlyArray<Conflict>): Reply.Reply => {
  const sorted = conflicts.map(({ owner, path }) => ({ name: nameOf(owner), path: show(path) }))
  const names = [...new Set(sorted.map(({ name }) => name))].toSorted()
  const [first] = sorted
  const message =
    sorted.length === 1
      ? `Apply failed with 1 conflict: conflict with ${first!.name}: ${first!.path}`
      : `Apply failed with ${sorted.length} conflicts: ${names
          .map((name) =>
            [
              `conflicts with ${name}:`,
              ...sorted.filter((one) => one.name === name).map(({ path }) => `- ${path}`)
            ].join("\n")
          )
          .join("\n")}`
  return Reply.applyConflict(
    message,
    sorted.map(({ name, path }) => ({
      reason: "FieldManagerConflict",
      message: `conflict with ${name}`,
      field: path
    }))
  )
}

const nameOf = ({ apiVersion, manager, operation, subresource }: Conflict["owner"]) => {
  const name = JSON.stringify(manager)
  if (operation === "Apply") return name
  const where = subresource === undefined ? "" : ` with subresource ${JSON.stringify(subresource)}`
  return `${name}${where} using ${apiVersion}`
}
