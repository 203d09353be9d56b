/**
 * The annotation in which `kubectl apply` keeps what it last applied. If `kubectl` then applies server-side, the API server lets it have
 * these fields without a conflict, and keeps the annotation up to date, so that client-side apply can take over again.
 */
import * as Result from "effect/Result"
import { difference, type FieldSet, fieldsOf, fromPaths, union } from "./fieldSet.ts"
import { isRecord, parseJson, sorted } from "./json.ts"
import type { Kind } from "./kinds/kind.ts"
import { type Draft, type KubeObject, metadataOf } from "./kubeObject.ts"
import { type Conflict, differenceOf, wholeSchema } from "./managedFields.ts"

const annotation = "kubectl.kubernetes.io/last-applied-configuration"

/** The conflicts without those about fields that client-side apply has set, and nobody has changed since. */
export const withoutLastApplied = (
  manager: string,
  kind: Kind,
  live: KubeObject,
  conflicts: ReadonlyArray<Conflict>
): ReadonlyArray<Conflict> => {
  const text = live.metadata.annotations?.[annotation]
  if (manager !== "kubectl" || text === undefined) return conflicts
  const own = fieldsIn(kind, live, Result.getOrUndefined(parseJson(text)))
  return conflicts.filter(({ path }) => difference(fromPaths([path]), own).size > 0)
}

const fieldsIn = (kind: Kind, live: KubeObject, lastApplied: unknown): FieldSet => {
  const { added, modified, removed } = differenceOf(kind, live, lastApplied)
  return difference(fieldsOf(wholeSchema(kind), lastApplied), union(added, modified, removed))
}

/** The object with what `manager` has applied in its annotation, if that is there. */
export const withLastApplied = (manager: string, object: KubeObject, applied: Draft): KubeObject => {
  const { annotations } = object.metadata
  if (manager !== "kubectl" || annotations?.[annotation] === undefined) return object
  const { annotations: own, ...metadata } = metadataOf(applied)
  const { [annotation]: _, ...others } = isRecord(own) ? own : {}
  const rest = Object.keys(others).length === 0 ? {} : { annotations: others }
  const text = `${JSON.stringify(sorted({ ...applied, metadata: { ...metadata, ...rest } }))}\n`
  return { ...object, metadata: { ...object.metadata, annotations: { ...annotations, [annotation]: text } } }
}
