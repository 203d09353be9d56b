/** `metadata.managedFields`: who owns which fields of an object. */
import {
  compare,
  decode,
  difference,
  type Difference,
  encode,
  equals,
  type FieldSet,
  intersection,
  type Path,
  union
} from "./fieldSet.ts"
import { isRecord } from "./json.ts"
import type { Kind } from "./kinds/kind.ts"
import type { KubeObject } from "./kubeObject.ts"
import { objectMeta, type Schema } from "./schema.ts"

/** A writer: its name, and whether it applies or updates. */
export interface Manager {
  readonly manager: string
  readonly operation: "Apply" | "Update"
  readonly apiVersion: string
  readonly subresource?: string
}

/** The fields of one manager. */
export interface Owner extends Manager {
  readonly time?: string
  readonly fields: FieldSet
}

/** A field that somebody applies, and somebody else owns with another value. */
export interface Conflict {
  readonly owner: Owner
  readonly path: Path
}

/** The schema of whole objects of a kind. */
export const wholeSchema = ({ schema }: Kind): Schema => ({
  ...schema,
  properties: { apiVersion: { type: "string" }, kind: { type: "string" }, ...schema.properties, metadata: objectMeta }
})

/** The owners in the metadata of an object. `undefined` if there are none, or if they cannot be read. */
export const ownersOf = (managedFields: unknown): ReadonlyArray<Owner> | undefined => {
  if (!Array.isArray(managedFields) || managedFields.length === 0) return undefined
  const owners = managedFields.map((entry) => ownerOf(entry))
  return owners.includes(undefined) ? undefined : (owners as ReadonlyArray<Owner>)
}

const ownerOf = (entry: unknown): Owner | undefined => {
  if (!isRecord(entry)) return undefined
  const { apiVersion, fieldsV1, manager, operation, subresource, time } = entry
  const fields = decode(fieldsV1)
  if (fields === undefined || typeof manager !== "string") return undefined
  if (operation !== "Apply" && operation !== "Update") return undefined
  return {
    manager,
    operation,
    apiVersion: String(apiVersion),
    ...(typeof subresource === "string" && subresource !== "" ? { subresource } : {}),
    ...(typeof time === "string" ? { time } : {}),
    fields
  }
}

/** `managedFields` with these owners: those who apply first, then by time and name. */
export const managedFieldsOf = (owners: ReadonlyArray<Owner>): ReadonlyArray<object> =>
  owners
    .filter(({ fields }) => fields.size > 0)
    .toSorted(
      (a, b) => order(a.operation, b.operation) || order(a.time ?? "", b.time ?? "") || order(a.manager, b.manager)
    )
    .map(entryOf)

const entryOf = ({ apiVersion, fields, manager, operation, subresource, time }: Owner): object => ({
  manager,
  operation,
  apiVersion,
  time,
  fieldsType: "FieldsV1",
  fieldsV1: encode(fields),
  ...(subresource === undefined ? undefined : { subresource })
})

const order = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)

/** Whether two are the same manager. */
export const isSameManager = (a: Manager, b: Manager) =>
  a.manager === b.manager &&
  a.operation === b.operation &&
  a.apiVersion === b.apiVersion &&
  a.subresource === b.subresource

/** The owner of a manager. */
export const find = (owners: ReadonlyArray<Owner>, manager: Manager): Owner | undefined =>
  owners.find((owner) => isSameManager(owner, manager))

/** What differs between two states of an object; `before` is absent for a new one. */
export const differenceOf = (kind: Kind, before: KubeObject | undefined, after: unknown): Difference =>
  compare(wholeSchema(kind), before ?? { metadata: {}, ...kind.skeleton }, after)

/** The owners after a manager wrote. It owns what it changed, and nobody owns what is gone. */
export const afterUpdate = (
  owners: ReadonlyArray<Owner>,
  manager: Manager,
  { added, modified, removed }: Difference,
  now: string
): ReadonlyArray<Owner> => {
  const changed = union(added, modified)
  const own = find(owners, manager)?.fields ?? new Map<string, Path>()
  return settle(owners, manager, difference(union(own, changed), removed), union(changed, removed), now)
}

/** The owners after a manager applied. Others lose what it changed; what it leaves as it is, they own together. */
export const afterApply = (
  owners: ReadonlyArray<Owner>,
  manager: Manager,
  applied: FieldSet,
  { added, modified, removed }: Difference,
  now: string
): ReadonlyArray<Owner> => settle(owners, manager, applied, union(added, modified, removed), now)

const settle = (
  owners: ReadonlyArray<Owner>,
  manager: Manager,
  own: FieldSet,
  lost: FieldSet,
  now: string
): ReadonlyArray<Owner> => {
  const others = owners
    .filter((owner) => !isSameManager(owner, manager))
    .map((owner): Owner => Object.assign({}, owner, { fields: difference(owner.fields, lost) }))
  const previous = find(owners, manager)
  // The time of an entry is that of the last change by its manager.
  const time = previous !== undefined && equals(previous.fields, own) ? previous.time : now
  return [...others, { ...manager, ...(time === undefined ? {} : { time }), fields: own }]
}

/** What a manager would change that others own. */
export const conflictsOf = (
  owners: ReadonlyArray<Owner>,
  manager: Manager,
  { added, modified }: Difference
): ReadonlyArray<Conflict> =>
  owners
    .filter((owner) => !isSameManager(owner, manager))
    .flatMap((owner) =>
      [...intersection(owner.fields, union(added, modified)).values()].map((path) => ({ owner, path }))
    )
