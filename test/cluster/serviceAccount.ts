/** The service account of an example on a real API server, with no right but those of the example's manifest. */
import { assert } from "@effect/vitest"
import { loadAllYaml } from "@kubernetes/client-node"
import * as Effect from "effect/Effect"
import { readFileSync } from "node:fs"
import { Envtest } from "../../src/testing/index.ts"
import { pathOf } from "./pathOf.ts"

const created = new Set(["Role", "RoleBinding", "ConfigMap", "Secret", "Lease"])

/** Creates all of the manifest in a namespace but what runs and its account. Answers the account's kubeconfig. */
export const kubeConfigOf = Effect.fnUntraced(function* (name: string, namespace: string, manifest: string) {
  const api = yield* Envtest.ApiServer
  for (const object of loadAllYaml(readFileSync(manifest, "utf8"))) {
    if (!created.has(object.kind)) continue
    const reply = yield* api.request("POST", pathOf(object, namespace), object)
    assert.strictEqual(reply.status, 201, JSON.stringify(reply.body))
  }
  return yield* api.kubeConfigFor({
    name: `system:serviceaccount:${namespace}:${name}`,
    groups: ["system:serviceaccounts", "system:authenticated"]
  })
})
