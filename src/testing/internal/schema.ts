/** Structural schemas: which fields a kind has, of which types. The subset of OpenAPI that CRDs and built-in kinds use. */

/** A schema. `title` is the name of the Go type of a built-in kind. */
export interface Schema {
  readonly title?: string
  readonly description?: string
  readonly type?: "object" | "array" | "string" | "integer" | "number" | "boolean"
  /** For built-in kinds `byte` is base64, `date-time` has whole seconds, and `micro-time` exactly six digits. */
  readonly format?: string
  readonly properties?: Readonly<Record<string, Schema>>
  readonly additionalProperties?: Schema | boolean
  readonly items?: Schema
  readonly required?: ReadonlyArray<string>
  readonly nullable?: boolean
  readonly default?: unknown
  readonly enum?: ReadonlyArray<unknown>
  readonly pattern?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly exclusiveMinimum?: boolean
  readonly exclusiveMaximum?: boolean
  readonly multipleOf?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly minItems?: number
  readonly maxItems?: number
  readonly minProperties?: number
  readonly maxProperties?: number
  readonly "x-kubernetes-preserve-unknown-fields"?: boolean
  readonly "x-kubernetes-int-or-string"?: boolean
  readonly "x-kubernetes-patch-merge-key"?: string
  readonly "x-kubernetes-patch-strategy"?: string
  readonly "x-kubernetes-list-type"?: string
  readonly "x-kubernetes-list-map-keys"?: ReadonlyArray<string>
  readonly "x-kubernetes-map-type"?: string
}

/** A schema of objects that takes everything. */
export const anything: Schema = { type: "object", "x-kubernetes-preserve-unknown-fields": true }

const text: Schema = { type: "string" }
const texts: Schema = { type: "object", additionalProperties: text }
const time: Schema = { type: "string", format: "date-time" }

/** `metadata`, the same for all kinds. */
export const objectMeta: Schema = {
  title: "ObjectMeta",
  type: "object",
  description: "Standard object's metadata.",
  properties: {
    name: text,
    generateName: text,
    namespace: text,
    uid: text,
    resourceVersion: text,
    selfLink: text,
    generation: { type: "integer", format: "int64" },
    creationTimestamp: time,
    deletionTimestamp: time,
    deletionGracePeriodSeconds: { type: "integer", format: "int64" },
    labels: texts,
    annotations: texts,
    finalizers: {
      type: "array",
      items: text,
      "x-kubernetes-list-type": "set",
      "x-kubernetes-patch-strategy": "merge"
    },
    ownerReferences: {
      type: "array",
      "x-kubernetes-list-type": "map",
      "x-kubernetes-list-map-keys": ["uid"],
      "x-kubernetes-patch-merge-key": "uid",
      "x-kubernetes-patch-strategy": "merge",
      items: {
        title: "OwnerReference",
        "x-kubernetes-map-type": "atomic",
        type: "object",
        required: ["apiVersion", "kind", "name", "uid"],
        properties: {
          apiVersion: text,
          kind: text,
          name: text,
          uid: text,
          controller: { type: "boolean" },
          blockOwnerDeletion: { type: "boolean" }
        }
      }
    },
    managedFields: { type: "array", items: anything }
  }
}

/** The schema of the field of an object; `undefined` if the object has no such field. */
export const fieldOf = (schema: Schema, name: string): Schema | undefined => {
  const property = schema.properties?.[name]
  if (property !== undefined && Object.hasOwn(schema.properties!, name)) return property
  if (typeof schema.additionalProperties === "object") return schema.additionalProperties
  return schema.additionalProperties === true || takesAnything(schema) ? {} : undefined
}

/** Whether unknown fields are kept. */
export const takesAnything = (schema: Schema): boolean =>
  schema["x-kubernetes-preserve-unknown-fields"] === true || Object.keys(schema).length === 0
