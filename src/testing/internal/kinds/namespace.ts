/** Namespaces. */
import type { KubeObject } from "../kubeObject.ts"
import { age, name } from "./columns.ts"
import type { Kind } from "./kind.ts"

const phaseOf = (object: KubeObject) => (object["status"] as { readonly phase?: string } | undefined)?.phase ?? ""

export const namespace: Kind = {
  group: "",
  version: "v1",
  plural: "namespaces",
  kind: "Namespace",
  namespaced: false,
  singular: "namespace",
  shortNames: ["ns"],
  isBuiltIn: true,
  isModelled: true,
  nameIsLabel: true,
  subresources: ["status", "finalize"],
  skeleton: { spec: { finalizers: ["kubernetes"] }, status: {} },
  schema: {
    title: "Namespace",
    description: "Namespace provides a scope for Names.",
    type: "object",
    properties: {
      spec: {
        title: "NamespaceSpec",
        type: "object",
        properties: { finalizers: { type: "array", items: { type: "string" } } }
      },
      status: {
        title: "NamespaceStatus",
        type: "object",
        properties: { phase: { type: "string" } }
      }
    }
  },
  // The server owns both. A client that sends others changes nothing.
  prepare: (object, before) => ({
    ...object,
    spec: before?.["spec"] ?? { finalizers: ["kubernetes"] },
    status: before?.["status"] ?? { phase: "Active" }
  }),
  terminate: (object) => ({ ...object, status: { phase: "Terminating" } }),
  selectable: { "status.phase": phaseOf },
  notSelectable: (field) => `field label not supported: ${field}`,
  columns: [name, { name: "Status", type: "string", description: "The status of the namespace", cell: phaseOf }, age]
}
