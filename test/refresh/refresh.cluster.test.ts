/** The example's manifest under RBAC, on a real API server. */
import { assert, layer } from "@effect/vitest"
import { loadAllYaml } from "@kubernetes/client-node"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import * as KubernetesClient from "../../src/KubernetesClient.ts"
import * as RefreshOnce from "../../src/RefreshOnce.ts"
import { Envtest } from "../../src/testing/index.ts"
import { describeServers } from "../cluster/describeServers.ts"
import { generationOf, Token, token } from "./fixture.ts"

const suite = (server: Envtest.Server) =>
  layer(Envtest.layer({ server, fsync: false }), { timeout: "120 seconds", excludeTestServices: true })((it) => {
    it.effect("the example's manifest grants what the service needs, and no more", () =>
      Effect.gen(function* () {
        const api = yield* Envtest.ApiServer
        const paths: Readonly<Record<string, string>> = {
          Role: "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles",
          RoleBinding: "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings",
          Secret: "/api/v1/namespaces/default/secrets"
        }
        const file = join(import.meta.dirname, "../../docs/examples/token-service/manifest.yaml")
        for (const object of loadAllYaml(readFileSync(file, "utf8"))) {
          const path = paths[object.kind]
          if (path === undefined) continue
          const reply = yield* api.request("POST", path, object)
          assert.strictEqual(reply.status, 201, JSON.stringify(reply.body))
        }
        const kubeConfig = yield* api.kubeConfigFor({
          name: "system:serviceaccount:default:token-service",
          groups: ["system:serviceaccounts", "system:authenticated"]
        })
        yield* Effect.gen(function* () {
          const tokens = yield* RefreshOnce.make({
            location: RefreshOnce.inSecret("token"),
            namespace: "default",
            schema: Token,
            isFresh: ({ expiresAt }) => DateTime.isFuture(expiresAt),
            refresh: () => token(1)
          })
          assert.strictEqual(generationOf(yield* tokens.get("upstream-token")), 1)
          const other = yield* Effect.flip(tokens.get("token-service"))
          assert.strictEqual(other._tag, "LockForbidden")
        }).pipe(Effect.scoped, Effect.provide(KubernetesClient.layerKubeConfigYaml(kubeConfig)))
      })
    )
  })

describeServers("refreshing once", suite, (server) => server === "kube-apiserver")
