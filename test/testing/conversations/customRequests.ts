/** Requests about custom resources with a schema. */
import { applyToGate } from "./applyRequests.ts"
import { aboutFinalizers } from "./finalizerRequests.ts"
import { merge, type Step, step, strategic, table } from "./step.ts"

const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
const gates = "/apis/acme.io/v1/namespaces/talk/gates"

const definition = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "gates.acme.io" },
  spec: {
    group: "acme.io",
    scope: "Namespaced",
    names: { plural: "gates", kind: "Gate", shortNames: ["gt"], categories: ["all"] },
    versions: [
      {
        name: "v1",
        served: true,
        storage: true,
        additionalPrinterColumns: [
          { name: "Size", type: "integer", jsonPath: ".spec.size", description: "How large it is" },
          { name: "Mode", type: "string", jsonPath: ".spec.mode", priority: 1 },
          { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" }
        ],
        schema: {
          openAPIV3Schema: {
            type: "object",
            properties: {
              spec: {
                type: "object",
                required: ["size"],
                properties: {
                  size: { type: "integer", minimum: 1, maximum: 10 },
                  mode: { type: "string", enum: ["open", "closed"], default: "open" },
                  code: { type: "string", pattern: "^[a-z]+$", maxLength: 3 },
                  tags: { type: "array", maxItems: 2, items: { type: "string" } },
                  limits: { type: "object", additionalProperties: { type: "integer" } },
                  any: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
                  port: { "x-kubernetes-int-or-string": true },
                  ratio: { type: "number" },
                  maybe: { type: "string", nullable: true },
                  inner: { type: "object", properties: { on: { type: "boolean", default: false } } }
                }
              }
            }
          }
        }
      }
    ]
  }
}

const gate = (name: string, spec: object | undefined, more: object = {}) => ({
  apiVersion: "acme.io/v1",
  kind: "Gate",
  metadata: { name },
  ...(spec === undefined ? {} : { spec }),
  ...more
})
const [version] = definition.spec.versions
const withVersion = (changed: object) => ({ ...definition, spec: { ...definition.spec, versions: [changed] } })

/** Requests about custom resources, for any API server. */
export const customs: ReadonlyArray<Step> = [
  step("a definition is named after plural and group", "POST", definitions, {
    ...definition,
    metadata: { name: "gates" }
  }),
  step("a definition has a schema", "POST", definitions, withVersion({ ...version, schema: undefined })),
  step("a definition has one version to store", "POST", definitions, withVersion({ ...version, storage: false })),
  step("a definition is made", "POST", definitions, definition),
  { ...step("objects of the kind are listed", "GET", gates), until: 200 },
  step("a body needs kind and apiVersion", "POST", gates, { metadata: { name: "a" }, spec: { size: 1 } }),
  step(
    "unknown fields are pruned",
    "POST",
    gates,
    gate("pruned", { size: 1, zap: 1, any: { zap: 1 }, inner: { zap: 1 } }, { zap: 1 })
  ),
  step(
    "unknown fields of metadata are dropped",
    "POST",
    gates,
    gate("meta", { size: 1 }, { metadata: { name: "meta", zap: 1 } })
  ),
  step(
    "unknown fields, strictly",
    "POST",
    `${gates}?fieldValidation=Strict`,
    gate("strict", { size: 1, zap: 1, inner: { zap: 1 } }, { zap: 1 })
  ),
  step("nothing unknown, strictly", "POST", `${gates}?fieldValidation=Strict`, gate("strict", { size: 1 })),
  step("unknown fields, ignored", "POST", `${gates}?fieldValidation=Ignore`, gate("ignored", { size: 1, zap: 1 })),
  step("an unknown fieldValidation", "POST", `${gates}?fieldValidation=Some`, gate("x", { size: 1 })),
  step("a required field", "POST", gates, gate("x", {})),
  step("no spec", "POST", gates, gate("no-spec", undefined)),
  step("a text for an integer", "POST", gates, gate("x", { size: "1" })),
  step("a float for an integer", "POST", gates, gate("x", { size: 1.5 })),
  step("a number that is too small", "POST", gates, gate("x", { size: 0 })),
  step("a number that is too large", "POST", gates, gate("x", { size: 11 })),
  step("a value that is not in the enum", "POST", gates, gate("x", { size: 1, mode: "ajar" })),
  step("a text that does not match", "POST", gates, gate("x", { size: 1, code: "A" })),
  step("a text that is too long", "POST", gates, gate("x", { size: 1, code: "aaaa" })),
  step("a list that is too long", "POST", gates, gate("x", { size: 1, tags: ["a", "b", "c"] })),
  step("a list with a number", "POST", gates, gate("x", { size: 1, tags: ["a", 1] })),
  step("a map with a text", "POST", gates, gate("x", { size: 1, limits: { a: "1" } })),
  step("a list for an object", "POST", gates, gate("x", [])),
  step("null for an integer", "POST", gates, gate("x", { size: null })),
  step("null for a default", "POST", gates, gate("null-default", { size: 1, mode: null })),
  step("null where it may be", "POST", gates, gate("nullable", { size: 1, maybe: null })),
  step("an integer or a text", "POST", gates, gate("port", { size: 1, port: "http", ratio: 0.5 })),
  step("neither an integer nor a text", "POST", gates, gate("x", { size: 1, port: true })),
  step("a merge patch prunes", "PATCH", `${gates}/pruned`, { spec: { size: 2, zap: 2 } }, merge),
  step(
    "a merge patch with only unknown fields changes nothing",
    "PATCH",
    `${gates}/pruned`,
    { spec: { zap: 2 } },
    merge
  ),
  step("a merge patch is validated", "PATCH", `${gates}/pruned`, { spec: { size: "2" } }, merge),
  step("a strategic merge patch", "PATCH", `${gates}/pruned`, { spec: { size: 3 } }, strategic),
  step(
    "a PUT is validated",
    "PUT",
    `${gates}/pruned`,
    gate("pruned", { size: 0 }, { metadata: { name: "pruned", resourceVersion: "@rv(pruned)" } })
  ),
  step("there is no status subresource", "GET", `${gates}/pruned/status`),
  step("a table", "GET", `${gates}/pruned`, undefined, table),
  step("a table of all", "GET", `${gates}?limit=1`, undefined, table),
  step("field selectors know names only", "GET", `${gates}?fieldSelector=spec.size%3D1`),
  step("an unknown dryRun", "POST", `${gates}?dryRun=Some`, gate("x", { size: 1 })),
  step("a dry run", "POST", `${gates}?dryRun=All`, gate("dry", { size: 1 })),
  step("an unknown dryRun in the body of a DELETE", "DELETE", `${gates}/port`, { dryRun: ["Some"] }),
  step("a dry run in the body of a DELETE", "DELETE", `${gates}/port`, { dryRun: ["All"] }),
  step("a body of a DELETE without dryRun, a query with it", "DELETE", `${gates}/port?dryRun=All`, {
    gracePeriodSeconds: 0
  }),
  step("whether it was deleted", "GET", `${gates}/port`),
  step("a DELETE of a collection", "DELETE", `${gates}?fieldSelector=metadata.name%3Dmeta`),
  step("a DELETE of a collection is gone", "GET", `${gates}/meta`),
  ...aboutFinalizers(gates, gate("going", { size: 1 }, { metadata: { name: "going", finalizers: ["x.io/a"] } })),
  ...applyToGate,
  step("the definition is read", "GET", `${definitions}/gates.acme.io`),
  step("the definition is deleted", "DELETE", `${definitions}/gates.acme.io`)
]
