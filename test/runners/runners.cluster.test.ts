/** Runner storage on a real API server, and the example cluster there as real processes, with no right but those of its manifest. */
import { layer } from "@effect/vitest"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { join } from "node:path"
import * as KubernetesClient from "../../src/KubernetesClient.ts"
import { Envtest } from "../../src/testing/index.ts"
import { describeServers } from "../cluster/describeServers.ts"
import * as serviceAccount from "../cluster/serviceAccount.ts"
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
        const kubeConfig = yield* serviceAccount.kubeConfigOf("meters", "dex", join(folder, "manifest.yaml"))
        const { cutOff, killed, left, suspended } = yield* trial(api.url, (url) => kubeConfig.replace(api.url, url))
        yield* Console.info({ cutOff, killed, left, suspended })
      })
    )
  })

describeServers("runners", suite, (server) => server === "kube-apiserver")
