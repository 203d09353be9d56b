/** CustomResourceDefinitions: what they may say, and what the server cannot do with them. */
import * as Result from "effect/Result"
import { invalid, notSupported, required } from "../causes.ts"
import { isRecord } from "../json.ts"
import { isSimplePath } from "../jsonPath.ts"
import type { KubeObject } from "../kubeObject.ts"
import { anything, type Schema } from "../schema.ts"
import { name } from "./columns.ts"
import type { Kind } from "./kind.ts"
import { schemaProblems } from "./schemaRules.ts"

/** A version of a definition. */
export interface Version {
  readonly name: string
  readonly served: boolean
  readonly storage: boolean
  readonly schema?: { readonly openAPIV3Schema?: Schema }
  readonly subresources?: { readonly status?: unknown; readonly scale?: unknown }
  readonly additionalPrinterColumns?: ReadonlyArray<{
    readonly name: string
    readonly type: string
    readonly format?: string
    readonly description?: string
    readonly priority?: number
    readonly jsonPath: string
  }>
  readonly selectableFields?: unknown
}

/** A definition that has been validated. */
export interface Definition extends KubeObject {
  readonly spec: {
    readonly group: string
    readonly scope: "Namespaced" | "Cluster"
    readonly names: {
      readonly plural: string
      readonly singular?: string
      readonly kind: string
      readonly listKind?: string
      readonly shortNames?: ReadonlyArray<string>
      readonly categories?: ReadonlyArray<string>
    }
    readonly conversion?: { readonly strategy?: string }
    readonly preserveUnknownFields?: boolean
    readonly versions: ReadonlyArray<Version>
  }
}

const specOf = (object: KubeObject) => (isRecord(object["spec"]) ? object["spec"] : {}) as Partial<Definition["spec"]>

export const definition: Kind = {
  group: "apiextensions.k8s.io",
  version: "v1",
  plural: "customresourcedefinitions",
  kind: "CustomResourceDefinition",
  namespaced: false,
  singular: "customresourcedefinition",
  shortNames: ["crd", "crds"],
  isBuiltIn: true,
  isModelled: true,
  subresources: ["status"],
  schema: { ...anything, title: "CustomResourceDefinition" },
  prepare: (object, before) => {
    const spec = specOf(object)
    const { kind = "" } = spec.names ?? {}
    const names = { singular: kind.toLowerCase(), listKind: `${kind}List`, ...spec.names }
    return {
      ...object,
      spec: { ...spec, names, conversion: spec.conversion ?? { strategy: "None" } },
      status: before?.["status"] ?? {
        conditions: null,
        acceptedNames: { plural: "", kind: "" },
        storedVersions: (spec.versions ?? []).filter(({ storage }) => storage).map((version) => version.name)
      }
    } as KubeObject
  },
  validate: (object) => {
    const { group, names, scope, versions = [] } = specOf(object)
    const expected = `${names?.plural}.${group}`
    return [
      ...(object.metadata.name === expected
        ? []
        : [invalid("metadata.name", object.metadata.name, `must be spec.names.plural+"."+spec.group`)]),
      ...(group ? [] : [required("spec.group")]),
      ...(names?.plural ? [] : [required("spec.names.plural")]),
      ...(names?.kind ? [] : [required("spec.names.kind")]),
      ...(scope === "Namespaced" || scope === "Cluster"
        ? []
        : [notSupported("spec.scope", scope ?? "", ["Cluster", "Namespaced"])]),
      ...versions.flatMap(({ schema }, index) => {
        const root = schema?.openAPIV3Schema
        const field = `spec.versions[${index}].schema.openAPIV3Schema`
        if (root === undefined) return [required(field)]
        if (root.type !== "object") return [invalid(`${field}.type`, root.type, "must be object at the root")]
        if (unsupported(object) !== undefined) return []
        return schemaProblems(root, versions.length === 1 ? "spec.validation.openAPIV3Schema" : field)
      }),
      ...(versions.filter(({ storage }) => storage).length === 1
        ? []
        : [
            invalid("spec.versions", versions, "must have exactly one version marked as storage version"),
            invalid("status.storedVersions", null, "must have at least one stored version")
          ])
    ]
  },
  terminate: (object) => terminating(object),
  columns: [
    name,
    {
      name: "Created At",
      type: "date",
      description: "CreationTimestamp is a timestamp representing the server time when this object was created.",
      cell: (object) => object.metadata.creationTimestamp
    }
  ]
}

const cleanup = "customresourcecleanup.apiextensions.k8s.io"

interface Condition {
  readonly type: string
  readonly status: string
  readonly lastTransitionTime: string
  readonly reason: string
  readonly message: string
}

const conditionOf =
  ({ metadata }: KubeObject) =>
  (type: string, reason: string, message: string): Condition => ({
    type,
    status: "True",
    lastTransitionTime: metadata.creationTimestamp,
    reason,
    message
  })

const statusOf = (object: KubeObject) =>
  object["status"] as { readonly conditions: ReadonlyArray<Condition> | null; readonly [field: string]: unknown }

const terminating = (object: KubeObject): KubeObject => {
  const status = statusOf(object)
  const message = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon"
  return {
    ...object,
    metadata: { ...object.metadata, finalizers: [cleanup] },
    status: {
      ...status,
      conditions: [...(status.conditions ?? []), conditionOf(object)("Terminating", "InstanceDeletionPending", message)]
    }
  }
}

/** The definition with its names accepted; `undefined` if they are already. */
export const established = (object: KubeObject): KubeObject | undefined => {
  const status = statusOf(object)
  if (status.conditions !== null) return undefined
  const condition = conditionOf(object)
  return {
    ...object,
    status: {
      ...status,
      acceptedNames: specOf(object).names,
      conditions: [
        condition("NamesAccepted", "NoConflicts", "no conflicts found"),
        condition("Established", "InitialNamesAccepted", "the initial names have been accepted")
      ]
    }
  }
}

/** What the server cannot do with a definition, as the end of a sentence. `undefined` if it can do everything. */
export const unsupported = (object: KubeObject): string | undefined => {
  const { conversion, preserveUnknownFields, versions = [] } = specOf(object)
  if (conversion?.strategy !== undefined && conversion.strategy !== "None") return "no conversion webhooks"
  if (preserveUnknownFields === true) return "no spec.preserveUnknownFields"
  if (versions.filter(({ served }) => served).length > 1) return "no more than one served version of a kind"
  for (const { additionalPrinterColumns = [], schema, selectableFields, subresources } of versions) {
    if (subresources?.scale !== undefined) return "no scale subresource"
    if (selectableFields !== undefined) return "no selectableFields"
    const column = additionalPrinterColumns.find(({ jsonPath }) => !isSimplePath(jsonPath))
    if (column !== undefined) return `no column with the path ${column.jsonPath}`
    const keyword = unknownKeyword(schema?.openAPIV3Schema ?? {})
    if (keyword !== undefined) return `no schema with ${keyword}`
  }
  return undefined
}

const keywords = new Set([
  "title",
  "description",
  "type",
  "properties",
  "additionalProperties",
  "items",
  "required",
  "nullable",
  "default",
  "enum",
  "pattern",
  "minimum",
  "maximum",
  "exclusiveMinimum",
  "exclusiveMaximum",
  "multipleOf",
  "minLength",
  "maxLength",
  "minItems",
  "maxItems",
  "minProperties",
  "maxProperties",
  "example",
  "externalDocs",
  "x-kubernetes-preserve-unknown-fields",
  "x-kubernetes-int-or-string",
  "x-kubernetes-list-type",
  "x-kubernetes-list-map-keys",
  "x-kubernetes-map-type"
])

/** The first keyword of a schema that the server does not know. It knows the formats of numbers only. */
const unknownKeyword = (schema: Schema): string | undefined => {
  const own = Object.keys(schema).find(
    (keyword) => !keywords.has(keyword) && !(keyword === "format" && isNumber(schema))
  )
  if (own !== undefined) return own
  if (schema.pattern !== undefined && !isReadable(schema.pattern)) return `the pattern ${schema.pattern}`
  const children = [
    ...Object.values(schema.properties ?? {}),
    ...(schema.items === undefined ? [] : [schema.items]),
    ...(typeof schema.additionalProperties === "object" ? [schema.additionalProperties] : [])
  ]
  for (const child of children) {
    const found = unknownKeyword(child)
    if (found !== undefined) return found
  }
  return undefined
}

// Go's regular expressions differ from those of JavaScript.
const isReadable = (pattern: string) => Result.isSuccess(Result.try(() => new RegExp(pattern, "u")))

const isNumber = ({ type }: Schema) => type === "integer" || type === "number"
