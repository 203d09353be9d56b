/** Refreshed exactly once on real API servers: the long proof, chaos, and the example's manifest under RBAC. */
import { assert, layer } from "@effect/vitest"
import { loadAllYaml } from "@kubernetes/client-node"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import * as RefreshProof from "../../bench/refresh/refreshProof.ts"
import * as KubernetesClient from "../../src/KubernetesClient.ts"
import * as RefreshOnce from "../../src/RefreshOnce.ts"
import { describeServers } from "../cluster/describeServers.ts"
import * as Envtest from "../../src/testing/envtest/Envtest.ts"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Chaos from "./chaos.ts"
import { generationOf, Token, token } from "./fixture.ts"

const prove = (settings: Partial<RefreshProof.Settings>) =>
  Effect.gen(function* () {
    const api = yield* Envtest.ApiServer
    return yield* RefreshProof.prove({
      rounds: 2000,
      threads: 2,
      processes: 2,
      dex: false,
      lock: true,
      json: false,
      kubeconfig: { _tag: "Yaml", yaml: api.kubeConfig },
      namespace: "dex",
      ...settings
    })
  }).pipe(Effect.provide(FetchHttpClient.layer))

describeServers("refreshing once", (server) => {
  layer(Envtest.layer({ server, fsync: false }), { timeout: "120 seconds", excludeTestServices: true })((it) => {
    if (server === "kube-apiserver") {
      it.effect(
        "thousands of rotations by threads and processes",
        () =>
          Effect.gen(function* () {
            const verdict = yield* prove({})
            assert.isTrue(RefreshProof.isRight(verdict), JSON.stringify(verdict))
            assert.strictEqual(verdict.rotations, 2000)
          }),
        300_000
      )

      it.effect(
        "crashes and pauses: every lost grant is accounted for",
        () =>
          Effect.gen(function* () {
            const { kubeConfig } = yield* Envtest.ApiServer
            const eras = yield* Chaos.play({
              connection: { _tag: "Yaml", yaml: kubeConfig },
              namespace: "dex",
              eras: 6,
              millis: 8000,
              seed: 7
            })
            const seen = JSON.stringify(eras)
            assert.isTrue(
              eras.every(({ lost }) => lost !== "Otherwise"),
              seen
            )
            assert.isTrue(
              eras.some(({ lost }) => lost === "CrashBetweenAnswerAndWrite"),
              seen
            )
          }),
        180_000
      )

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
    }

    it.effect(
      "beside services that do as Dex does",
      () =>
        Effect.gen(function* () {
          const verdict = yield* prove({ dex: true, rounds: 100 })
          assert.isTrue(RefreshProof.isRight(verdict), JSON.stringify(verdict))
        }),
      120_000
    )
  })
})
