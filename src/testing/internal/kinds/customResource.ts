/** Custom resources: the kind that a CustomResourceDefinition defines. */
import { follow } from "../jsonPath.ts"
import type { KubeObject } from "../kubeObject.ts"
import { since } from "./columns.ts"
import * as Columns from "./columns.ts"
import type { Definition, Version } from "./definition.ts"
import type { Column, Kind } from "./kind.ts"
import { anything } from "../schema.ts"

/** The kinds of a definition, one for each version that is served. */
export const kindsOf = (definition: Definition): ReadonlyArray<Kind> =>
  definition.spec.versions
    .filter(({ served }) => served)
    .map((version) => {
      const { group, names, scope } = definition.spec
      return {
        group,
        version: version.name,
        plural: names.plural,
        singular: names.singular ?? names.kind.toLowerCase(),
        kind: names.kind,
        namespaced: scope === "Namespaced",
        shortNames: names.shortNames,
        categories: names.categories,
        isBuiltIn: false,
        isModelled: true,
        hasStatus: version.subresources?.status !== undefined,
        schema: version.schema?.openAPIV3Schema ?? anything,
        columns: columnsOf(version)
      }
    })

const columnsOf = ({ additionalPrinterColumns = [] }: Version): ReadonlyArray<Column> => [
  Columns.name,
  ...(additionalPrinterColumns.length === 0
    ? [{ ...Columns.age, type: "date" }]
    : additionalPrinterColumns.map(({ description = "", format, jsonPath, name, priority = 0, type }) => ({
        name,
        type,
        ...(format === undefined ? {} : { format }),
        description: description || `Custom resource definition column (in JSONPath format): ${jsonPath}`,
        priority,
        cell: (object: KubeObject, now: number) => {
          const value = follow(object, jsonPath)
          if (value === undefined || value === null) return null
          return type === "date" ? since(value, now) : typeof value === "object" ? JSON.stringify(value) : value
        }
      })))
]
