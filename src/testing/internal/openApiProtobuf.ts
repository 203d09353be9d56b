/**
 * OpenAPI 2 in the protobuf encoding that `kubectl` reads (`openapi.v2.Document` of github.com/google/gnostic), as far as
 * `kubectl` looks at it: types, required fields, descriptions, extensions, and the parameters of each operation.
 */
import type { Document, Json, Operation } from "./openApiDocument.ts"

/** The numbers of the fields of the messages. */
const fields = {
  document: { swagger: 1, info: 2, paths: 8, definitions: 9 },
  info: { title: 1, version: 2 },
  named: { name: 1, value: 2 },
  definitions: { entry: 1 },
  paths: { entry: 2 },
  path: { get: 2, put: 3, post: 4, delete: 5, patch: 8 },
  operation: { operationId: 5, parameters: 8, extensions: 13 },
  parametersItem: { parameter: 1 },
  parameter: { nonBody: 2 },
  nonBody: { query: 3 },
  query: { in: 2, name: 4, type: 6 },
  schema: {
    format: 2,
    description: 4,
    required: 19,
    additionalProperties: 21,
    type: 22,
    items: 23,
    properties: 25,
    extensions: 31
  },
  wrapped: { schema: 1 },
  any: { yaml: 2 }
} as const

/** Encodes a document. */
export const openApiProtobuf = ({ definitions, info, paths, swagger }: Document): Uint8Array =>
  Buffer.concat([
    text(fields.document.swagger, swagger),
    message(fields.document.info, [text(fields.info.title, info.title), text(fields.info.version, info.version)]),
    message(
      fields.document.paths,
      Object.entries(paths).map(([path, operations]) =>
        named(
          fields.paths.entry,
          path,
          Object.entries(operations).map(([verb, operation]) =>
            message(fields.path[verb as keyof typeof fields.path], operationOf(operation))
          )
        )
      )
    ),
    message(
      fields.document.definitions,
      Object.entries(definitions).map(([name, schema]) => named(fields.definitions.entry, name, schemaOf(schema)))
    )
  ])

type Parts = ReadonlyArray<Uint8Array>

const varint = (value: number): Buffer => {
  const bytes: Array<number> = []
  let rest = value
  while (rest > 127) {
    bytes.push((rest & 127) | 128)
    rest >>>= 7
  }
  return Buffer.from([...bytes, rest])
}

/** A field with a length: its number and wire type 2. */
const bytes = (field: number, value: Uint8Array): Buffer =>
  Buffer.concat([varint((field << 3) | 2), varint(value.length), value])
const text = (field: number, value: string) => bytes(field, Buffer.from(value))
const message = (field: number, parts: Parts) => bytes(field, Buffer.concat(parts))
const named = (field: number, name: string, value: Parts) =>
  message(field, [text(fields.named.name, name), message(fields.named.value, value)])

const optionalText = (field: number, value: unknown): Parts => (typeof value === "string" ? [text(field, value)] : [])

/** The extensions of an object. Their values are YAML, and JSON is YAML. */
const extensions = (field: number, object: object): Parts =>
  Object.entries(object)
    .filter(([name]) => name.startsWith("x-"))
    .map(([name, value]) => named(field, name, [text(fields.any.yaml, JSON.stringify(value))]))

const operationOf = (operation: Operation): Parts => [
  text(fields.operation.operationId, operation.operationId),
  ...operation.parameters.map(({ in: place, name, type }) => {
    const query = [text(fields.query.in, place), text(fields.query.name, name), text(fields.query.type, type)]
    return message(fields.operation.parameters, [
      message(fields.parametersItem.parameter, [
        message(fields.parameter.nonBody, [message(fields.nonBody.query, query)])
      ])
    ])
  }),
  ...extensions(fields.operation.extensions, operation)
]

const schemaOf = (schema: Json): Parts => {
  const { additionalProperties, description, format, items, properties, required, type } = schema
  const { schema: field } = fields
  const wrap = (number: number, inner: unknown): Parts =>
    typeof inner === "object" && inner !== null
      ? [message(number, [message(fields.wrapped.schema, schemaOf(inner as Json))])]
      : []
  return [
    ...optionalText(field.format, format),
    ...optionalText(field.description, description),
    ...(Array.isArray(required) ? required.map((name) => text(field.required, String(name))) : []),
    ...wrap(field.additionalProperties, additionalProperties),
    ...(typeof type === "string" ? [message(field.type, [text(1, type)])] : []),
    ...wrap(field.items, items),
    ...(typeof properties === "object" && properties !== null
      ? [
          message(
            field.properties,
            Object.entries(properties).map(([name, one]) => named(1, name, schemaOf(one as Json)))
          )
        ]
      : []),
    ...extensions(field.extensions, schema)
  ]
}
