/** Kubernetes objects: their shape, and the validation of their metadata. */
import { isDeepStrictEqual } from "node:util"
import { invalid, required } from "./causes.ts"
import type { Cause } from "./reply.ts"

/** The metadata of a stored object. */
export interface ObjectMetadata {
  readonly name: string
  readonly namespace?: string
  readonly uid: string
  readonly resourceVersion: string
  readonly creationTimestamp: string
  readonly generation?: number
  readonly deletionTimestamp?: string
  readonly deletionGracePeriodSeconds?: number
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly finalizers?: ReadonlyArray<string>
  readonly [field: string]: unknown
}

/** A stored object. Everything except the metadata is opaque. It is never changed in place. */
export interface KubeObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: ObjectMetadata
  readonly [field: string]: unknown
}

/** A JSON object from a client, not validated yet. */
export type Draft = Readonly<Record<string, unknown>>

/** The metadata from a client, after it has been read. */
export interface DraftMetadata {
  readonly name?: string | null
  readonly generateName?: string | null
  readonly namespace?: string | null
  readonly uid?: string | null
  readonly resourceVersion?: string | null
  readonly labels?: Readonly<Record<string, string>> | null
  readonly annotations?: Readonly<Record<string, string>> | null
  readonly managedFields?: ReadonlyArray<unknown> | null
  readonly ownerReferences?: ReadonlyArray<Readonly<Record<string, unknown>>> | null
}

/** The metadata of a draft that has been read. */
export const metadataOf = (draft: Draft): DraftMetadata => (draft["metadata"] ?? {}) as DraftMetadata

/** The problems of the name, the labels and the annotations of an object. */
export const valueProblems = (metadata: DraftMetadata, nameIsLabel = false): ReadonlyArray<Cause> => {
  const causes: Array<Cause> = []
  const add = (field: string, value: string, problem: string | undefined) => {
    if (problem !== undefined) causes.push(invalid(`metadata.${field}`, value, problem))
  }
  if (!metadata.name) {
    causes.push(required("metadata.name", "name or generateName is required"))
  } else {
    add("name", metadata.name, nameProblem(metadata.name, nameIsLabel))
  }
  for (const [key, value] of Object.entries(metadata.labels ?? {})) {
    add("labels", key, keyProblem(key))
    add("labels", value, labelValueProblem(value))
  }
  let size = 0
  for (const [key, value] of Object.entries(metadata.annotations ?? {})) {
    add("annotations", key, keyProblem(key.toLowerCase()))
    size += Buffer.byteLength(key) + Buffer.byteLength(value)
  }
  if (size > maxAnnotationBytes) {
    causes.push({
      reason: "FieldValueTooLong",
      message: `Too long: may not be more than ${maxAnnotationBytes} bytes`,
      field: "metadata.annotations"
    })
  }
  for (const owner of metadata.ownerReferences ?? []) {
    for (const [field, problem] of ownerFields) {
      if (!owner[field]) add(`ownerReferences.${field}`, "", problem)
    }
  }
  return causes
}

const ownerFields = [
  ["apiVersion", "version must not be empty"],
  ["kind", "kind must not be empty"],
  ["name", "name must not be empty"],
  ["uid", "uid must not be empty"]
] as const

const maxAnnotationBytes = 262_144
const dnsLabel = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/
const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/
const word = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/
const wordRule =
  "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
const subdomainRule =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"

const labelRule =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"

const nameProblem = (name: string, isLabel: boolean) => {
  const [most, rule, pattern] = isLabel ? [63, labelRule, dnsLabel] : [253, subdomainRule, subdomain]
  return name.length > most ? `must be no more than ${most} characters` : pattern.test(name) ? undefined : rule
}

const keyProblem = (key: string): string | undefined => {
  const parts = key.split("/")
  const [prefix, name] = parts.length === 1 ? [undefined, parts[0]!] : [parts[0]!, parts[1]!]
  if (parts.length > 2) {
    return `a valid label key ${wordRule} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`
  }
  if (prefix === "") return "prefix part must be non-empty"
  if (prefix !== undefined && !subdomain.test(prefix)) return `prefix part ${subdomainRule}`
  if (name === "") return "name part must be non-empty"
  if (name.length > 63) return "name part must be no more than 63 bytes"
  return word.test(name) ? undefined : `name part ${wordRule}`
}

const labelValueProblem = (value: string): string | undefined => {
  if (value.length > 63) return "must be no more than 63 bytes"
  return value === "" || word.test(value)
    ? undefined
    : "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
}

/**
 * The part of the metadata that a client can set, without empty values. The API server drops an empty map, so that its
 * key is absent afterwards.
 */
export const clientMetadata = (metadata: DraftMetadata): Record<string, unknown> => {
  const kept: Record<string, unknown> = {}
  for (const [field, value] of Object.entries(metadata)) {
    if (serverFields.has(field) || isEmpty(value)) continue
    kept[field] = value
  }
  return kept
}

/** The fields of metadata that the server sets. */
export const serverFields: ReadonlySet<string> = new Set([
  "uid",
  "resourceVersion",
  "generation",
  "creationTimestamp",
  "deletionTimestamp",
  "deletionGracePeriodSeconds",
  "managedFields",
  "selfLink"
])

const isEmpty = (value: unknown) =>
  value === undefined ||
  value === null ||
  value === "" ||
  (typeof value === "object" && Object.keys(value).length === 0)

/** Whether two objects are equal except for their metadata. */
export const sameContent = (a: Draft, b: Draft): boolean => {
  const { metadata: _a, ...restA } = a
  const { metadata: _b, ...restB } = b
  return isDeepStrictEqual(restA, restB)
}

/** Whether two objects are equal. */
export const same = (a: KubeObject, b: KubeObject): boolean => isDeepStrictEqual(a, b)
