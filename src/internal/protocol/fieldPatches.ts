/** Patches of fields, as a write to an object with a known content. Pure. */
import * as Equal from "effect/Equal"
import * as Predicate from "effect/Predicate"
import type * as Schema from "effect/Schema"
import type { AnnotationGuardedPatch, Content, FieldPatch, FieldPath } from "../../ObjectStore.ts"

/**
 * The write that also sets these fields of an object with this content. Fields on the way to them are made if they are missing.
 *
 * A patch can only add to a field that is there. It adds the first missing one, with the remaining path inside, on condition that it
 * is still missing. Without the content, all fields on the way are taken to be there.
 */
export const into = (
  write: AnnotationGuardedPatch,
  fields: ReadonlyArray<FieldPatch>,
  found: Content | undefined
): AnnotationGuardedPatch => {
  if (found === undefined) return { ...write, content: fields }
  const content: Array<FieldPatch> = []
  const absent: Array<FieldPath> = []
  let result: unknown = found
  for (const { path, value } of fields) {
    const depth = path.findIndex((_, index) => valueAt(result, path.slice(0, index + 1)) === undefined) + 1
    if (value === null && depth > 0) continue
    const length = depth === 0 ? path.length : depth
    const added = path.slice(0, length) as unknown as FieldPath
    const field = { path: added, value: path.slice(length).reduceRight((inner, name) => ({ [name]: inner }), value) }
    content.push(field)
    if (length < path.length && valueAt(found, path.slice(0, length - 1)) !== undefined) absent.push(added)
    result = withValueAt(result, added, field.value)
  }
  return { ...write, expect: { ...write.expect, absent }, content }
}

/** Whether an object with this content shows that a field is set, or removed. */
export const isApplied = (content: Content | undefined, { path, value }: FieldPatch): boolean => {
  const found = valueAt(content, path)
  return value === null ? found === undefined : Equal.equals(found, value)
}

// Kubernetes takes a field that is null for one that is missing.
const valueAt = (content: unknown, path: ReadonlyArray<string>): unknown =>
  path.reduce<unknown>(
    (within, name) =>
      Predicate.isObject(within) && Object.hasOwn(within, name) ? (within[name] ?? undefined) : undefined,
    content
  )

const withValueAt = (content: unknown, [name, ...rest]: ReadonlyArray<string>, value: Schema.Json): unknown => {
  if (name === undefined) return value
  const fields = Predicate.isObject(content) ? content : {}
  return { ...fields, [name]: withValueAt(fields[name], rest, value) }
}
