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
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as ApiClient from "./internal/kubernetes/apiClient.ts"
import * as encode from "./internal/kubernetes/encode.ts"
import type * as Http from "./internal/kubernetes/http.ts"
import * as responseError from "./internal/kubernetes/responseError.ts"
import * as watchStream from "./internal/kubernetes/watchStream.ts"
import {
  type KubeConfigError,
  type KubeConfigOptions,
  KubernetesClient,
  layerKubeConfig as clientLayer
} from "./KubernetesClient.ts"
import type * as LockError from "./LockError.ts"
import { isEmpty, managedBy, ObjectStore, type ObjectSnapshot, type Removal } from "./ObjectStore.ts"
import * as Resource from "./Resource.ts"

/**
 * The objects of a store, and how to reach them.
 *
 * - `resource`: the kind of the objects.
 * - `namespace`: their namespace. The default is the namespace of the kubeconfig's context.
 * - `createIfMissing`: whether the lock creates a missing object. The default is that of the resource.
 * - `requestTimeout`: the timeout of one request, 5 seconds by default. For a watch, it is the time until the head of
 *   the response; the server limits the duration of the watch. If the TTL is much shorter than 10 seconds, choose a
 *   shorter timeout; otherwise one renewal that hangs loses the lock.
 * - `clock`: the clock that expiries are judged by: the API server's (`server`, the default) or this machine's
 *   (`local`).
 * - `content`: whether snapshots include the content of the object. The default is `false`. Snapshots of a watch never
 *   do.
 */
export interface Options {
  readonly resource: Resource.Resource
  readonly namespace?: string | undefined
  readonly createIfMissing?: boolean | undefined
  readonly requestTimeout?: Duration.Input | undefined
  readonly clock?: "server" | "local" | undefined
  readonly content?: boolean | undefined
}

/** How long a request may take by default. Our choice. */
export const defaultRequestTimeout: Duration.Duration = Duration.seconds(5)

/** Makes the store. Fails with `InvalidName` if the namespace is not a valid name. */
export const make = Effect.fnUntraced(function* (options: Options) {
  const client = yield* KubernetesClient
  const { resource } = options
  const namespace = yield* Effect.fromResult(Resource.checkName(options.namespace ?? client.namespace))
  const apiClient = ApiClient.make(client, {
    requestTimeout: Duration.fromInputUnsafe(options.requestTimeout ?? defaultRequestTimeout),
    clock: options.clock ?? "server"
  })
  // Of an empty Secret the API server makes one of type Opaque.
  const isSecret = resource.group === "" && resource.plural === "secrets"
  const includesContent = options.content === true
  const collectionPath = Resource.collectionPath(resource, namespace)

  const requestInfo = (id: string, verb: string): Effect.Effect<responseError.RequestInfo, LockError.InvalidName> =>
    Effect.fromResult(
      Result.map(Resource.checkName(id), () => ({
        id,
        verb,
        object: Resource.describe(resource, namespace, id),
        namespaced: resource.namespaced
      }))
    )

  const send = (request: Http.Request, info: responseError.RequestInfo) =>
    apiClient.request(includesContent ? request : encode.metadataOnly(request), info)

  const read = Effect.fnUntraced(function* (id: string) {
    const info = yield* requestInfo(id, "get")
    const response = yield* send(encode.get(Resource.objectPath(resource, namespace, id)), info)
    return yield* ApiClient.snapshotOf(response, info, includesContent)
  })

  const write = Effect.fnUntraced(function* (id: string, verb: string, request: Http.Request) {
    const info = yield* requestInfo(id, verb)
    const response = yield* send(request, info)
    return responseError.isPreconditionFailed(response)
      ? Option.none()
      : Option.some(yield* ApiClient.snapshotOf(response, info, includesContent))
  })

  const remove = Effect.fnUntraced(function* (
    id: string,
    version: Pick<ObjectSnapshot, "uid" | "resourceVersion">
  ): Effect.fn.Return<Removal, LockError.StoreError> {
    const path = Resource.objectPath(resource, namespace, id)
    const reading = yield* requestInfo(id, "get")
    const found = yield* ApiClient.snapshotOf(yield* apiClient.request(encode.get(path), reading), reading, true)
    if (found.uid !== version.uid || found.resourceVersion !== version.resourceVersion) return "Changed"
    const { type, ...content } = found.content ?? {}
    if (!isEmpty(isSecret ? content : { ...content, type: type ?? null })) return "HasContent"
    const deletion = { ...reading, verb: "delete" }
    const response = yield* apiClient.request(encode.remove(path, version), deletion)
    if (responseError.isPreconditionFailed(response)) return "Changed"
    return response.status >= 200 && response.status <= 299
      ? "Removed"
      : yield* Effect.fail(responseError.toError(response, deletion))
  })

  return ObjectStore.of({
    createIfMissing: options.createIfMissing ?? resource.createIfMissing,
    sharedWithDex: resource.sharedWithDex,
    includesContent,
    describe: (id) => Resource.describe(resource, namespace, id),
    now: apiClient.now,
    read,
    create: (id, annotations) =>
      write(
        id,
        "create",
        encode.post(collectionPath, {
          apiVersion: Resource.apiVersion(resource),
          kind: resource.kind,
          metadata: { name: id, annotations, labels: { [managedBy.key]: managedBy.value } }
        })
      ),
    compareAndSwap: (id, patch) =>
      write(id, "patch", encode.patch(Resource.objectPath(resource, namespace, id), patch)),
    remove,
    dryRun: Effect.fnUntraced(function* (id, patch) {
      const info = yield* requestInfo(id, "patch")
      const request = encode.patch(Resource.objectPath(resource, namespace, id), patch)
      const response = yield* send(encode.dryRun(request), info)
      if (responseError.isPreconditionFailed(response)) return { _tag: "Refused" }
      if (responseError.isDryRunUnsupported(response)) return { _tag: "Unknown" }
      return { _tag: "Accepted", snapshot: yield* ApiClient.snapshotOf(response, info, includesContent) }
    }),
    watch: (id, { label, since } = {}) =>
      Stream.unwrap(
        Effect.map(requestInfo(id, "watch"), (info) =>
          watchStream.make({ apiClient, info, collectionPath, read: read(id), since, label })
        )
      )
  })
})

/** The store of one resource, in one namespace, on the cluster of the client. */
export const layer = (options: Options): Layer.Layer<ObjectStore, LockError.InvalidName, KubernetesClient> =>
  Layer.effect(ObjectStore, make(options))

/** The store with a client of its own, made from a kubeconfig (by default the one that `kubectl` uses). */
export const layerKubeConfig = (
  options: Options & { readonly kubeConfig?: KubeConfigOptions | undefined }
): Layer.Layer<ObjectStore, LockError.InvalidName | KubeConfigError> =>
  layer(options).pipe(Layer.provide(clientLayer(options.kubeConfig)))
