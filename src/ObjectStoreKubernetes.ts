/**
 * The object store on a Kubernetes API server.
 *
 * **Details**
 *
 * - Requests are for metadata only (`PartialObjectMetadata`). The secrets in a locked object never reach this process,
 *   unless the store is made with `content: true`, or the objects are those of an aggregated API that does not know this
 *   form. Of its objects only the metadata is read.
 * - A patch whose precondition is a resourceVersion is a JSON merge patch that contains `metadata.resourceVersion`. A
 *   patch whose precondition is a set of annotations is a JSON patch with `test` operations.
 * - RBAC verbs: `get` for `read`, `patch` for `compareAndSwap`, `watch` for `watch`, `create` for `create`, `get` and `delete`
 *   for `remove`. `remove` reads the whole object, to be sure that it deletes no content. It keeps nothing of it.
 * - Every request has a timeout.
 * - The server's clock is estimated from the `Date` headers of its responses (`internal/time/serverClock.ts`).
 */
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as settings from "./internal/settings.ts"
import {
  type KubeConfigError,
  type KubeConfigOptions,
  KubernetesClient,
  layerKubeConfig as clientLayer
} from "./KubernetesClient.ts"
import type * as LockError from "./LockError.ts"
import { ObjectStore } from "./ObjectStore.ts"
import * as Resource from "./Resource.ts"

/** The objects of a store, and how to reach them. */
export interface Options {
  /** The kind of the objects. */
  readonly resource: Resource.Resource
  /** Their namespace. The default is the namespace of the kubeconfig's context. */
  readonly namespace?: string | undefined
  /** Whether the lock creates a missing object. The default is that of the resource. */
  readonly createIfMissing?: boolean | undefined
  /**
   * The timeout of one request, 5 seconds by default. For a watch, it is the time until the head of the response; the
   * server limits the duration of the watch. If the TTL is much shorter than 10 seconds, choose a shorter timeout;
   * otherwise one renewal that hangs loses the lock.
   */
  readonly requestTimeout?: Duration.Input | undefined
  /** The clock that expiries are judged by: the API server's (`server`, the default) or this machine's (`local`). */
  readonly clock?: "server" | "local" | undefined
  /**
   * Whether snapshots include the content of the object. The default is `false`, but that of a Lease is always
   * included. Those of a watch on anything else do if it asks for it.
   */
  readonly content?: boolean | undefined
}

/** How long a request may take by default. Our choice. */
export const defaultRequestTimeout: Duration.Duration = Duration.seconds(5)

/** Makes the store. Fails with `LockInvalidName` if the namespace is not a valid name. */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<ObjectStore["Service"], LockError.InvalidName, KubernetesClient> {
  const client = yield* KubernetesClient
  const { resource } = options
  const namespace = yield* Effect.fromResult(Resource.checkName(options.namespace ?? client.namespace))
  // What only a store needs is loaded with the first one.
  const store = yield* Effect.promise(() => import("./internal/kubernetes/store.ts"))
  return store.make(client, {
    resource,
    namespace,
    createIfMissing: options.createIfMissing ?? resource.createIfMissing,
    requestTimeout: Duration.fromInputUnsafe(options.requestTimeout ?? defaultRequestTimeout),
    clock: options.clock ?? "server",
    includesContent: options.content === true || Resource.name(resource) === Resource.name(Resource.lease)
  })
})

/** The store of one resource, in one namespace, on the cluster of the client. */
export const layer = (options: Options): Layer.Layer<ObjectStore, LockError.InvalidName, KubernetesClient> =>
  Layer.effect(ObjectStore, make(options))

/**
 * The store from configuration. All variables are optional, and their defaults are the options: `KUBELOCK_RESOURCE` (as
 * `Resource.fromName` reads it; `configmaps` by default), `KUBELOCK_NAMESPACE`, `KUBELOCK_CREATE_IF_MISSING` and
 * `KUBELOCK_REQUEST_TIMEOUT`.
 */
export const layerConfig = (
  options: Partial<Options> = {}
): Layer.Layer<ObjectStore, LockError.InvalidName | Config.ConfigError, KubernetesClient> =>
  Layer.effect(
    ObjectStore,
    Effect.flatMap(config, (given) =>
      make({
        ...options,
        resource: Option.getOrUndefined(given.resource) ?? options.resource ?? Resource.configMap,
        namespace: Option.getOrUndefined(given.namespace) ?? options.namespace,
        createIfMissing: Option.getOrUndefined(given.createIfMissing) ?? options.createIfMissing,
        requestTimeout: Option.getOrUndefined(given.requestTimeout) ?? options.requestTimeout
      })
    )
  )

const config = Config.all({
  resource: settings.setting(
    "RESOURCE",
    "configmaps, secrets, leases.coordination.k8s.io, refreshtokens.dex.coreos.com, or a resource such as widgets.v1.example.com/Widget",
    Resource.fromName
  ),
  namespace: settings.text("NAMESPACE"),
  createIfMissing: settings.toggle("CREATE_IF_MISSING"),
  requestTimeout: settings.duration("REQUEST_TIMEOUT")
})

/** The store with a client of its own, made from a kubeconfig (by default the one that `kubectl` uses). */
export const layerKubeConfig = (
  options: Options & { readonly kubeConfig?: KubeConfigOptions | undefined }
): Layer.Layer<ObjectStore, LockError.InvalidName | KubeConfigError> =>
  layer(options).pipe(Layer.provide(clientLayer(options.kubeConfig)))
