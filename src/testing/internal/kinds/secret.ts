/** Secrets. */
import * as Result from "effect/Result"
import * as Resource from "../../../Resource.ts"
import { required } from "../causes.ts"
import { parseJson } from "../json.ts"
import type { KubeObject } from "../kubeObject.ts"
import type { Cause } from "../reply.ts"
import { age, name } from "./columns.ts"
import { type Data, dataOf, immutableProblems, keyProblems, tooLong } from "./dataKeys.ts"
import type { Kind } from "./kind.ts"

const dataDescription =
  "Data contains the secret data. Each key must consist of alphanumeric characters, '-', '_' or '.'. The serialized form of the secret data is a base64 encoded string, representing the arbitrary (possibly non-string) data value here. Described in https://tools.ietf.org/html/rfc4648#section-4"
const typeDescription = "Used to facilitate programmatic handling of secret data."

const typeOf = (object: KubeObject) => (object["type"] || "Opaque") as string

export const secret: Kind = {
  ...Resource.secret,
  singular: "secret",
  isBuiltIn: true,
  isModelled: true,
  schema: {
    title: "Secret",
    description: "Secret holds secret data of a certain type.",
    type: "object",
    properties: {
      immutable: { type: "boolean" },
      data: {
        type: "object",
        description: dataDescription,
        additionalProperties: { type: "string", format: "byte" }
      },
      stringData: { type: "object", additionalProperties: { type: "string" } },
      type: { type: "string", description: typeDescription }
    }
  },
  prepare: ({ stringData, ...object }, before) => {
    const texts = Object.entries((stringData ?? {}) as Data).map(([key, text]) => [
      key,
      Buffer.from(text).toString("base64")
    ])
    const data = { ...dataOf(object as KubeObject, "data"), ...Object.fromEntries(texts) }
    // A type that is absent in an update stays what it was.
    const type = object["type"] || (before === undefined ? "Opaque" : typeOf(before))
    return { ...object, ...(Object.keys(data).length === 0 ? {} : { data }), type } as KubeObject
  },
  validate: (object, before) => {
    const data = dataOf(object, "data")
    const bytes = Object.values(data).reduce((sum, value) => sum + Buffer.byteLength(value, "base64"), 0)
    return [
      ...keyProblems("data", data),
      ...tooLong("data", bytes),
      ...typeProblems(object, data),
      ...(before === undefined || typeOf(before) === typeOf(object)
        ? []
        : [
            {
              reason: "FieldValueInvalid",
              message: `Invalid value: ${JSON.stringify(object["type"])}: field is immutable`,
              field: "type"
            }
          ]),
      ...immutableProblems(object, before, ["data"])
    ]
  },
  selectable: { type: typeOf },
  notSelectable: (field) => `field label not supported: ${field}`,
  columns: [
    name,
    { name: "Type", type: "string", description: typeDescription, cell: typeOf },
    {
      name: "Data",
      type: "string",
      description: dataDescription,
      cell: (object) => Object.keys(dataOf(object, "data")).length
    },
    age
  ]
}

const missing = (data: Data, keys: ReadonlyArray<string>, field: (key: string) => string) =>
  keys.filter((key) => !Object.hasOwn(data, key)).map((key) => required(field(key)))

const inData = (key: string) => `data[${key}]`
// The real server writes its own format string into the message.
const inBrokenFormat = (key: string) => `data[%s][${key}]`

/** The keys that the type of a Secret demands. */
const typeProblems = (object: KubeObject, data: Data): ReadonlyArray<Cause> => {
  switch (typeOf(object)) {
    case "kubernetes.io/service-account-token": {
      const annotation = "kubernetes.io/service-account.name"
      return object.metadata.annotations?.[annotation] ? [] : [required(`metadata.annotations[${annotation}]`)]
    }
    case "kubernetes.io/tls":
      return missing(data, ["tls.crt", "tls.key"], inData)
    case "kubernetes.io/basic-auth":
      return "username" in data || "password" in data ? [] : missing(data, ["username", "password"], inBrokenFormat)
    case "kubernetes.io/ssh-auth":
      return data["ssh-privatekey"] ? [] : [required(inBrokenFormat("ssh-privatekey"))]
    case "kubernetes.io/dockercfg":
      return jsonProblems(data, ".dockercfg")
    case "kubernetes.io/dockerconfigjson":
      return jsonProblems(data, ".dockerconfigjson")
    default:
      return []
  }
}

const jsonProblems = (data: Data, key: string): ReadonlyArray<Cause> => {
  const value = data[key]
  if (value === undefined) return [required(inData(key))]
  const parsed = parseJson(Buffer.from(value, "base64").toString())
  return Result.isSuccess(parsed)
    ? []
    : [
        {
          reason: "FieldValueInvalid",
          message: `Invalid value: "<secret contents redacted>": ${parsed.failure}`,
          field: inData(key)
        }
      ]
}
