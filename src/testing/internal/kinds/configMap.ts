/** ConfigMaps. */
import * as Resource from "../../../Resource.ts"
import { invalid } from "../causes.ts"
import { age, name } from "./columns.ts"
import { dataOf, immutableProblems, keyProblems, tooLong } from "./dataKeys.ts"
import type { Kind } from "./kind.ts"

const dataDescription =
  "Data contains the configuration data. Each key must consist of alphanumeric characters, '-', '_' or '.'. Values with non-UTF-8 byte sequences must use the BinaryData field. The keys stored in Data must not overlap with the keys in the BinaryData field, this is enforced during validation process."

export const configMap: Kind = {
  ...Resource.configMap,
  singular: "configmap",
  shortNames: ["cm"],
  isBuiltIn: true,
  isModelled: true,
  schema: {
    title: "ConfigMap",
    description: "ConfigMap holds configuration data for pods to consume.",
    type: "object",
    properties: {
      immutable: {
        type: "boolean",
        description:
          "Immutable, if set to true, ensures that data stored in the ConfigMap cannot be updated (only object metadata can be modified). If not set to true, the field can be modified at any time. Defaulted to nil."
      },
      data: { type: "object", description: dataDescription, additionalProperties: { type: "string" } },
      binaryData: { type: "object", additionalProperties: { type: "string", format: "byte" } }
    }
  },
  validate: (object, before) => {
    const data = dataOf(object, "data")
    const binaryData = dataOf(object, "binaryData")
    const bytes =
      Object.values(data).reduce((sum, value) => sum + Buffer.byteLength(value), 0) +
      Object.values(binaryData).reduce((sum, value) => sum + Buffer.byteLength(value, "base64"), 0)
    return [
      ...keyProblems("data", data),
      ...Object.keys(data)
        .filter((key) => Object.hasOwn(binaryData, key))
        .map((key) => invalid(`data[${key}]`, key, "duplicate of key present in binaryData")),
      ...keyProblems("binaryData", binaryData),
      ...tooLong("[]", bytes),
      ...immutableProblems(object, before, ["data", "binaryData"])
    ]
  },
  columns: [
    name,
    {
      name: "Data",
      type: "string",
      description: dataDescription,
      cell: (object) => Object.keys(dataOf(object, "data")).length + Object.keys(dataOf(object, "binaryData")).length
    },
    age
  ]
}
