/** Whom a real API server takes a request for: the service account of a pod, and the user that one acts as. */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parse, stringify } from "yaml"
import { Environment } from "../../src/internal/kubernetes/environment.ts"
import * as KubernetesClient from "../../src/KubernetesClient.ts"
import * as Lock from "../../src/Lock.ts"
import * as ObjectStoreKubernetes from "../../src/ObjectStoreKubernetes.ts"
import * as Resource from "../../src/Resource.ts"
import * as Envtest from "../../src/testing/envtest/Envtest.ts"
import { describeServers } from "./describeServers.ts"

const rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/dex"

/** Allows a subject to lock ConfigMaps. */
const allow = (api: Envtest.ApiServerProcess, name: string, subject: object) =>
  Effect.gen(function* () {
    yield* api.request("POST", `${rbac}/roles`, {
      metadata: { name },
      rules: [{ apiGroups: [""], resources: ["configmaps"], verbs: ["get", "create", "patch", "watch"] }]
    })
    const bound = yield* api.request("POST", `${rbac}/rolebindings`, {
      metadata: { name },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name },
      subjects: [subject]
    })
    assert.strictEqual(bound.status, 201)
  })

/** Locks twice at once, so that one waits and watches. RBAC needs a moment to hear of a binding. */
const locks = <E>(id: string, client: Layer.Layer<KubernetesClient.KubernetesClient, E>) => {
  const use = Lock.withLock(id)(Effect.sleep("100 millis"))
  const both = Effect.all([use, use], { concurrency: 2, discard: true })
  const store = ObjectStoreKubernetes.layer({ resource: Resource.configMap, namespace: "dex" })
  return both.pipe(
    Effect.retry({ times: 50, while: ({ _tag }) => _tag === "LockForbidden" }),
    Effect.provide(Lock.layer().pipe(Layer.provide(store), Layer.provide(client)))
  )
}

describeServers(
  "a kubeconfig",
  (server) => {
    layer(Envtest.layer({ server, fsync: false }), { timeout: "120 seconds", excludeTestServices: true })((it) => {
      it.effect("acts as a user with several groups and extras", () =>
        Effect.gen(function* () {
          const api = yield* Envtest.ApiServer
          yield* allow(api, "acting", { apiGroup: "rbac.authorization.k8s.io", kind: "Group", name: "two, three" })
          const document = parse(api.kubeConfig) as { readonly users: [{ readonly user: object }] }
          const yaml = (groups: ReadonlyArray<string>) =>
            stringify({
              ...document,
              users: [
                {
                  ...document.users[0],
                  user: {
                    ...document.users[0].user,
                    as: "sömebody",
                    "as-groups": groups,
                    "as-user-extra": { "example.com/why": ["a", "b"] }
                  }
                }
              ]
            })
          yield* locks("acting", KubernetesClient.layerKubeConfigYaml(yaml(["one", "two, three"])))
          const client = KubernetesClient.layerKubeConfigYaml(yaml(["one", "two", "three"]))
          const refused = yield* Effect.flip(
            Lock.inspect("acting").pipe(
              Effect.provide(
                Lock.layer().pipe(
                  Layer.provide(ObjectStoreKubernetes.layer({ resource: Resource.configMap, namespace: "dex" })),
                  Layer.provide(client)
                )
              )
            )
          )
          assert.strictEqual(refused._tag, "LockForbidden")
        })
      )

      it.effect("is not needed in a pod: its service account is enough", () =>
        Effect.gen(function* () {
          const api = yield* Envtest.ApiServer
          const folder = yield* Effect.acquireRelease(
            Effect.sync(() => mkdtempSync(join(tmpdir(), "kubelock-pod-"))),
            (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
          )
          const accounts = "/api/v1/namespaces/dex/serviceaccounts"
          yield* api.request("POST", accounts, { metadata: { name: "pod" } })
          const issued = yield* api.request("POST", `${accounts}/pod/token`, { spec: {} })
          assert.strictEqual(issued.status, 201)
          yield* allow(api, "pod", { kind: "ServiceAccount", name: "pod", namespace: "dex" })
          const { token } = (issued.body as unknown as { readonly status: { readonly token: string } }).status
          writeFileSync(join(folder, "token"), token)
          writeFileSync(join(folder, "ca.crt"), api.ca)
          writeFileSync(join(folder, "namespace"), "dex")
          const { hostname, port } = new URL(api.url)
          yield* locks("pod", KubernetesClient.layerKubeConfig()).pipe(
            Effect.provideService(Environment, {
              variables: { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port },
              home: folder,
              serviceAccount: folder
            })
          )
        })
      )
    })
  },
  (server) => server === "kube-apiserver"
)
