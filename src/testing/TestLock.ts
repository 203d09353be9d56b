/**
 * A lock for tests, with real requests to an API server in this process.
 *
 * One layer starts the server and makes the client, the store and the lock, all of which the test can use: `ApiServer` to inject
 * faults and to look at the objects, `ObjectStore` to write to them.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as KubernetesClient from "../KubernetesClient.ts"
import * as Lock from "../Lock.ts"
import type { ObjectStore } from "../ObjectStore.ts"
import * as ObjectStoreKubernetes from "../ObjectStoreKubernetes.ts"
import * as Resource from "../Resource.ts"
import * as ApiServer from "./ApiServer.ts"

/** The options of the lock, of the store (ConfigMaps by default), and of the server. The namespace of the store exists there. */
export interface Options extends Lock.Options, Partial<ObjectStoreKubernetes.Options> {
  /** The options of the embedded API server. */
  readonly server?: ApiServer.Options | undefined
}

/** A lock on a server of its own. Dies if no port can be bound, or if the options name no valid namespace. */
export const layer = (
  options: Options = {}
): Layer.Layer<Lock.Lock | ObjectStore | KubernetesClient.KubernetesClient | ApiServer.ApiServer> =>
  Lock.layer(options).pipe(
    Layer.provideMerge(ObjectStoreKubernetes.layer({ ...options, resource: options.resource ?? Resource.configMap })),
    Layer.provideMerge(client),
    Layer.provideMerge(ApiServer.layer(serverOptions(options))),
    Layer.orDie
  )

const serverOptions = ({ namespace, server = {} }: Options): ApiServer.Options =>
  namespace === undefined ? server : { ...server, namespaces: [...(server.namespaces ?? []), namespace] }

const client = Layer.unwrap(
  Effect.map(ApiServer.ApiServer, ({ kubeConfig }) => KubernetesClient.layerKubeConfigYaml(kubeConfig))
)
