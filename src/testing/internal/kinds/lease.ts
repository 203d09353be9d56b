/** Leases, as leader election uses them. */
import { invalid } from "../causes.ts"
import type { KubeObject } from "../kubeObject.ts"
import type { Cause } from "../reply.ts"
import { age, name } from "./columns.ts"
import type { Kind } from "./kind.ts"

interface LeaseSpec {
  readonly holderIdentity?: string
  readonly leaseDurationSeconds?: number
  readonly leaseTransitions?: number
}

const specOf = (object: KubeObject) => (object["spec"] ?? {}) as LeaseSpec

const holderDescription = "holderIdentity contains the identity of the holder of a current lease."

export const lease: Kind = {
  group: "coordination.k8s.io",
  version: "v1",
  plural: "leases",
  kind: "Lease",
  namespaced: true,
  singular: "lease",
  isBuiltIn: true,
  isModelled: true,
  createsOnUpdate: true,
  needsVersion: true,
  skeleton: { spec: {} },
  schema: {
    title: "Lease",
    description: "Lease defines a lease concept.",
    type: "object",
    properties: {
      // `strategy` and `preferredHolder` are dropped, unless the feature gate CoordinatedLeaderElection is on.
      spec: {
        title: "LeaseSpec",
        type: "object",
        properties: {
          holderIdentity: { type: "string", description: holderDescription },
          leaseDurationSeconds: { type: "integer", format: "int32" },
          acquireTime: { type: "string", format: "micro-time" },
          renewTime: { type: "string", format: "micro-time" },
          leaseTransitions: { type: "integer", format: "int32" }
        }
      }
    }
  },
  prepare: (object) => ({ ...object, spec: specOf(object) }),
  validate: (object) => {
    const { leaseDurationSeconds: duration, leaseTransitions: transitions } = specOf(object)
    const causes: Array<Cause> = []
    const add = (field: string, value: number, rule: string) => causes.push(invalid(`spec.${field}`, value, rule))
    if (duration !== undefined && duration <= 0) add("leaseDurationSeconds", duration, "must be greater than 0")
    if (transitions !== undefined && transitions < 0) {
      add("leaseTransitions", transitions, "must be greater than or equal to 0")
    }
    return causes
  },
  columns: [
    name,
    {
      name: "Holder",
      type: "string",
      description: holderDescription,
      cell: (object) => specOf(object).holderIdentity ?? ""
    },
    age
  ]
}
