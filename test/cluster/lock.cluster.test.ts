/** The contract of the store and the behaviour of the lock, on real API servers. */
import { assert, describe, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as KubernetesClient from "../../src/KubernetesClient.ts"
import * as Lock from "../../src/Lock.ts"
import * as Resource from "../../src/Resource.ts"
import * as Semaphore from "../../src/Semaphore.ts"
import * as SharedLock from "../../src/SharedLock.ts"
import { election } from "../contract/election.ts"
import { behaviour } from "../contract/lock.ts"
import { fieldTracking } from "../contract/fieldTracking.ts"
import { mixed } from "../contract/mixed.ts"
import { contract } from "../contract/objectStore.ts"
import { semaphore } from "../contract/semaphore.ts"
import { session } from "../contract/session.ts"
import { sharedLock } from "../contract/sharedLock.ts"
import { twoKeys } from "../contract/twoKeys.ts"
import * as WorldKubernetes from "../utils/WorldKubernetes.ts"
import { describeServers } from "./describeServers.ts"
import * as Envtest from "../../src/testing/envtest/Envtest.ts"

const suites = <E>(
  client: Layer.Layer<KubernetesClient.KubernetesClient, E>,
  options: { readonly resources: ReadonlyArray<Resource.Resource>; readonly namespace: string }
) =>
  layer(client, { timeout: "120 seconds", excludeTestServices: true })("reached by a kubeconfig", (it) => {
    it.effect("is the intended server", () =>
      Effect.map(KubernetesClient.KubernetesClient, ({ server }) => assert.match(server, /^https?:/))
    )
    for (const resource of options.resources) {
      const world = WorldKubernetes.layer({ resource, namespace: options.namespace })
      it.layer(world)(`store of ${Resource.name(resource)}`, contract)
      it.layer(world)(`the server and ${Resource.name(resource)}`, fieldTracking(resource, options.namespace))
      it.layer(world)(`two keys on ${Resource.name(resource)}`, twoKeys)
      it.layer(Layer.provideMerge(Semaphore.layer(), world))(`semaphores on ${Resource.name(resource)}`, semaphore)
      const shared = Layer.provideMerge(SharedLock.layer(), world)
      it.layer(shared)(`shared locks on ${Resource.name(resource)}`, sharedLock)
      const locked = Layer.provideMerge(Lock.layer(), world)
      it.layer(locked)(`lock on ${Resource.name(resource)}`, behaviour(resource.annotation))
      if (resource === Resource.refreshToken) it.layer(locked)("beside Dex", mixed)
      if (resource === Resource.configMap) it.layer(world)("locks under sessions", session)
      if (resource === Resource.lease) {
        const leases = WorldKubernetes.layer({ resource, namespace: options.namespace, content: true })
        it.layer(leases)("elections", election)
      }
    }
  })

const file = process.env["KUBELOCK_TEST_KUBECONFIG"]
if (file === undefined) {
  describeServers("the lock", (server) =>
    suites(
      Layer.unwrap(Effect.map(Envtest.ApiServer, (api) => KubernetesClient.layerKubeConfigYaml(api.kubeConfig))).pipe(
        Layer.provide(Envtest.layer({ server, fsync: false }))
      ),
      {
        namespace: "dex",
        resources:
          server === "kube-apiserver"
            ? [Resource.refreshToken, Resource.configMap, Resource.secret, Resource.lease]
            : [Resource.refreshToken]
      }
    )
  )
} else {
  const given = { file: file || undefined, context: process.env["KUBELOCK_TEST_CONTEXT"] || undefined }
  describe("the lock on a cluster of yours", () =>
    suites(KubernetesClient.layerKubeConfig(given), {
      namespace: process.env["KUBELOCK_TEST_NAMESPACE"] || "default",
      resources: [Resource.configMap, Resource.secret, Resource.lease]
    }))
}
