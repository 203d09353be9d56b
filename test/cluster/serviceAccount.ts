/** The service account of an example on a real API server, with no right but those of the example's manifest. */
import { assert } from "@effect/vitest"
import { loadAllYaml } from "@kubernetes/client-node"
import * as Effect from "effect/Effect"
import { readFileSync } from "node:fs"
import { Envtest } from "../../src/testing/index.ts"

/** Creates all of the manifest in a namespace but what runs and its account. Answers the account's kubeconfig. */
export const kubeConfigOf = Effect.fnUntraced(function* (name: string, namespace: string, manifest: string) {
  const api = yield* Envtest.ApiServer
  const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}`
  const paths: Readonly<Record<string, string>> = {
    Role: `${rbac}/roles`,
    RoleBinding: `${rbac}/rolebindings`,
    ConfigMap: `/api/v1/namespaces/${namespace}/configmaps`,
    Secret: `/api/v1/namespaces/${namespace}/secrets`,
    Lease: `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`
  }
  for (const object of loadAllYaml(readFileSync(manifest, "utf8"))) {
    const path = paths[object.kind]
    if (path === undefined) continue
    const reply = yield* api.request("POST", path, object)
    assert.strictEqual(reply.status, 201, JSON.stringify(reply.body))
  }
  return yield* api.kubeConfigFor({
    name: `system:serviceaccount:${namespace}:${name}`,
    groups: ["system:serviceaccounts", "system:authenticated"]
  })
})
