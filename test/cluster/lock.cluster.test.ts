/** The contract of the store and the behaviour of the lock, on real API servers. */
import { layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as KubernetesClient from "../../src/KubernetesClient.ts"
import * as Lock from "../../src/Lock.ts"
import * as Resource from "../../src/Resource.ts"
import { behaviour } from "../contract/lock.ts"
import { mixed } from "../contract/mixed.ts"
import { contract } from "../contract/objectStore.ts"
import * as WorldKubernetes from "../utils/WorldKubernetes.ts"
import { describeServers } from "./describeServers.ts"
import * as Envtest from "./Envtest.ts"

describeServers("the lock", (server) => {
  const client = Layer.unwrap(
    Effect.map(Envtest.ApiServer, (api) => KubernetesClient.layerKubeConfigYaml(api.kubeConfig))
  )
  const running = client.pipe(Layer.provideMerge(Envtest.layer({ server, fsync: false })))

  layer(running, { timeout: "120 seconds", excludeTestServices: true })("with a client", (it) => {
    const resources =
      server === "kube-apiserver"
        ? [Resource.refreshToken, Resource.configMap, Resource.secret]
        : [Resource.refreshToken]
    for (const resource of resources) {
      const world = WorldKubernetes.layer({ resource, namespace: "dex" })
      it.layer(world)(`store of ${Resource.name(resource)}`, contract)
      const locked = Layer.provideMerge(Lock.layer(), world)
      it.layer(locked)(`lock on ${Resource.name(resource)}`, behaviour)
      if (resource === Resource.refreshToken) it.layer(locked)("beside Dex", mixed)
    }
  })
})
