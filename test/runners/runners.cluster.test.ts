/** Runner storage on a real API server, and the example cluster there as real processes, with no right but those of its manifest. */
import { assert, layer } from "@effect/vitest"
import { loadAllYaml } from "@kubernetes/client-node"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import * as KubernetesClient from "../../src/KubernetesClient.ts"
import { Envtest } from "../../src/testing/index.ts"
import { describeServers } from "../cluster/describeServers.ts"
import { runnerStorage } from "../contract/runnerStorage.ts"
import * as runners from "../utils/runners.ts"
import { folder, trial } from "./trial.ts"

const client = Layer.unwrap(
  Effect.map(Envtest.ApiServer, (api) => KubernetesClient.layerKubeConfigYaml(api.kubeConfig))
)

const suite = (server: Envtest.Server) =>
  layer(Layer.provideMerge(client, Envtest.layer({ server, fsync: false })), {
    timeout: "240 seconds",
    excludeTestServices: true
  })((it) => {
    it.layer(runners.layerKubernetes("default"))("runner storage", runnerStorage)

    it.effect("the example runs each entity on one runner at a time, and needs no more than its manifest grants", () =>
      Effect.gen(function* () {
        const api = yield* Envtest.ApiServer
        const paths: Readonly<Record<string, string>> = {
          Role: "/apis/rbac.authorization.k8s.io/v1/namespaces/dex/roles",
          RoleBinding: "/apis/rbac.authorization.k8s.io/v1/namespaces/dex/rolebindings"
        }
        for (const object of loadAllYaml(readFileSync(join(folder, "manifest.yaml"), "utf8"))) {
          const path = paths[object.kind]
          if (path === undefined) continue
          const reply = yield* api.request("POST", path, object)
          assert.strictEqual(reply.status, 201, JSON.stringify(reply.body))
        }
        const kubeConfig = yield* api.kubeConfigFor({
          name: "system:serviceaccount:dex:meters",
          groups: ["system:serviceaccounts", "system:authenticated"]
        })
        const { cutOff, killed, left, suspended } = yield* trial(api.url, (url) => kubeConfig.replace(api.url, url))
        yield* Console.info({ cutOff, killed, left, suspended })
      })
    )
  })

describeServers("runners", suite, (server) => server === "kube-apiserver")
