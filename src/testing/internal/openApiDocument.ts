/** The OpenAPI documents, versions 2 and 3, as far as `kubectl` looks at them. */
import { apiVersionOf, type Kind } from "./kinds/kind.ts"
import { objectMeta, type Schema, takesAnything } from "./schema.ts"

/** A schema in a document: JSON Schema with extensions. */
export type Json = Readonly<Record<string, unknown>>

/** A document of version 2, as far as it is encoded. */
export interface Document {
  readonly swagger: "2.0"
  readonly info: { readonly title: string; readonly version: string }
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly definitions: Readonly<Record<string, Json>>
}

/** What a verb takes. */
export interface Operation {
  readonly operationId: string
  readonly parameters: ReadonlyArray<{ readonly name: string; readonly in: "query"; readonly type: string }>
  readonly responses: Json
  readonly "x-kubernetes-action": string
  readonly "x-kubernetes-group-version-kind": Json
}

const info = { title: "Kubernetes", version: "v1.36.0+kubelock" }

/** `api/v1`, or `apis/apps/v1`. */
export const placeOf = (kind: Kind) => (kind.group === "" ? `api/${kind.version}` : `apis/${apiVersionOf(kind)}`)

/** The index of version 3. */
export const indexOf = (kinds: ReadonlyArray<Kind>) =>
  Object.fromEntries(kinds.map((kind) => [placeOf(kind), { serverRelativeURL: `/openapi/v3/${placeOf(kind)}` }]))

/** The document of version 2. */
export const documentOf = (kinds: ReadonlyArray<Kind>): Document => ({
  swagger: "2.0",
  info,
  paths: Object.fromEntries(kinds.flatMap(pathsOf)),
  definitions: Object.fromEntries(kinds.map((kind) => [nameOf(kind), definitionOf(kind)]))
})

/** A document of version 3. */
export const documentV3Of = (kinds: ReadonlyArray<Kind>) => {
  const { definitions, paths } = documentOf(kinds)
  return {
    openapi: "3.0.0",
    info,
    paths: Object.fromEntries(
      Object.entries(paths).map(([path, operations]) => [
        path,
        Object.fromEntries(
          Object.entries(operations).map(([verb, { parameters, ...operation }]) => [
            verb,
            {
              ...operation,
              parameters: parameters.map(({ in: place, name, type }) => ({ name, in: place, schema: { type } }))
            }
          ])
        )
      ])
    ),
    components: { schemas: definitions }
  }
}

/** `io.k8s.api.core.v1.ConfigMap`, or `io.acme.v1.Gate`. */
const nameOf = ({ group, isBuiltIn, kind, version }: Kind) => {
  const [first] = group.split(".")
  const place = isBuiltIn ? `io.k8s.api.${first || "core"}` : group.split(".").toReversed().join(".")
  return `${place}.${version}.${kind}`
}

const gvkOf = ({ group, kind, version }: Kind) => ({ group, kind, version })

const text = { type: "string" }

const definitionOf = (kind: Kind): Json => {
  const gvk = { "x-kubernetes-group-version-kind": [gvkOf(kind)] }
  const { description } = kind.schema
  // A kind that takes anything has no properties, or clients would find unknown fields in it.
  if (takesAnything(kind.schema)) return { ...(description === undefined ? {} : { description }), ...gvk }
  const published = publish(kind.schema)
  return {
    ...published,
    properties: {
      apiVersion: {
        ...text,
        description: "APIVersion defines the versioned schema of this representation of an object."
      },
      kind: { ...text, description: "Kind is a string value representing the REST resource this object represents." },
      metadata: publish(objectMeta),
      ...(published["properties"] as Json | undefined)
    },
    ...gvk
  }
}

/** A schema as documents have it. */
const publish = (schema: Schema): Json => {
  const { additionalProperties, format, items, nullable: _, properties, title: __, type, ...others } = schema
  return {
    ...others,
    ...(type === undefined || (takesAnything(schema) && properties === undefined) ? {} : { type }),
    ...(format === undefined ? {} : { format: format === "micro-time" ? "date-time" : format }),
    ...(properties === undefined
      ? {}
      : { properties: Object.fromEntries(Object.entries(properties).map(([name, one]) => [name, publish(one)])) }),
    ...(items === undefined ? {} : { items: publish(items) }),
    ...(typeof additionalProperties === "object" ? { additionalProperties: publish(additionalProperties) } : {})
  }
}

const parameters = (...names: ReadonlyArray<string>): Operation["parameters"] =>
  names.map((name) => ({ name, in: "query", type: name === "force" ? "boolean" : "string" }))

const verbs: Readonly<Record<string, readonly [action: string, parameters: Operation["parameters"]]>> = {
  get: ["get", parameters()],
  put: ["put", parameters("dryRun", "fieldManager", "fieldValidation")],
  patch: ["patch", parameters("dryRun", "fieldManager", "fieldValidation", "force")],
  delete: ["delete", parameters("dryRun")]
}

const collectionVerbs: typeof verbs = {
  get: ["list", parameters("fieldSelector", "labelSelector", "limit", "continue", "resourceVersion")],
  post: ["post", parameters("dryRun", "fieldManager", "fieldValidation")],
  delete: ["deletecollection", parameters("dryRun", "fieldSelector", "labelSelector")]
}

const pathsOf = (kind: Kind): ReadonlyArray<readonly [string, Readonly<Record<string, Operation>>]> => {
  const collection = `/${placeOf(kind)}${kind.namespaced ? "/namespaces/{namespace}" : ""}/${kind.plural}`
  return [
    [collection, operationsOf(kind, collectionVerbs)],
    [`${collection}/{name}`, operationsOf(kind, verbs)]
  ]
}

const operationsOf = (kind: Kind, table: typeof verbs) =>
  Object.fromEntries(
    Object.entries(table).map(([method, [action, taken]]): [string, Operation] => [
      method,
      {
        operationId: `${action}${kind.kind}`,
        parameters: taken,
        responses: { 200: { description: "OK" } },
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": gvkOf(kind)
      }
    ])
  )
