/**
 * The store on a Kubernetes API server.
 *
 * **Details**
 *
 * - Only metadata travels (`PartialObjectMetadata`): the secrets in a locked object never reach this process, unless
 *   the store is made with `content`.
 * - A write under a resourceVersion is a merge patch with `metadata.resourceVersion` in it; a write under annotations is
 *   a JSON patch with `test` operations. Both need the RBAC verb `patch`; `read` needs `get`, `changes` needs `watch`,
 *   `create` needs `create`.
 * - Every request has a time-out.
 * - The server's clock is learnt from the `Date` header of each answer (`internal/time/serverClock.ts`).
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as exchanges from "./internal/kubernetes/apiClient.ts"
import * as requests from "./internal/kubernetes/encode.ts"
import * as status from "./internal/kubernetes/responseError.ts"
import type * as transport from "./internal/kubernetes/http.ts"
import * as watch from "./internal/kubernetes/watchStream.ts"
import {
  type KubeConfigError,
  type KubeConfigOptions,
  KubernetesClient,
  layerKubeConfig as clientLayer
} from "./KubernetesClient.ts"
import type * as LockError from "./LockError.ts"
import { ObjectStore } from "./ObjectStore.ts"
import * as Resource from "./Resource.ts"

/**
 * Which objects, and how to ask for them.
 *
 * - `namespace`: by default the one of the kubeconfig's context.
 * - `createIfMissing`: by default what the resource says.
 * - `requestTimeout`: the bound on one request, 5 seconds by default. A watch is bound by the server instead. Make it
 *   shorter with a TTL that is much shorter than 10 seconds, or one renewal that hangs loses the lock.
 * - `clock`: whose clock expiries are judged on: the API server's (default), or this machine's.
 * - `content`: whether answers bring the whole object along. Off by default; the stream of changes never does.
 */
export interface Options {
  readonly resource: Resource.Resource
  readonly namespace?: string | undefined
  readonly createIfMissing?: boolean | undefined
  readonly requestTimeout?: Duration.Input | undefined
  readonly clock?: "server" | "local" | undefined
  readonly content?: boolean | undefined
}

/** Makes the store; see `layer`. Fails where the namespace is not a name. */
export const make = Effect.fnUntraced(function* (options: Options) {
  const client = yield* KubernetesClient
  const { resource } = options
  const namespace = yield* Effect.fromResult(Resource.checkName(options.namespace ?? client.namespace))
  const exchange = exchanges.make(client, {
    requestTimeout: Duration.fromInputUnsafe(options.requestTimeout ?? "5 seconds"),
    clock: options.clock ?? "server"
  })
  const collectionPath = Resource.collectionPath(resource, namespace)

  const about = (id: string, verb: string): Effect.Effect<status.RequestInfo, LockError.InvalidName> =>
    Effect.fromResult(
      Result.map(Resource.checkName(id), () => ({ id, verb, object: Resource.describe(resource, namespace, id) }))
    )

  const ask = (request: transport.Request, wanted: status.RequestInfo) =>
    exchange.ask(options.content === true ? request : requests.metadataOnly(request), wanted)

  const read = Effect.fnUntraced(function* (id: string) {
    const wanted = yield* about(id, "get")
    const answer = yield* ask(requests.get(Resource.objectPath(resource, namespace, id)), wanted)
    return yield* exchanges.snapshotOf(answer, wanted)
  })

  const write = Effect.fnUntraced(function* (id: string, verb: string, request: transport.Request) {
    const wanted = yield* about(id, verb)
    const answer = yield* ask(request, wanted)
    return status.isPreconditionFailed(answer)
      ? Option.none()
      : Option.some(yield* exchanges.snapshotOf(answer, wanted))
  })

  return ObjectStore.of({
    createIfMissing: options.createIfMissing ?? resource.createIfMissing,
    sharedWithDex: resource.sharedWithDex,
    includesContent: options.content === true,
    describe: (id) => Resource.describe(resource, namespace, id),
    now: exchange.now,
    read,
    create: (id, annotations) =>
      write(
        id,
        "create",
        requests.post(collectionPath, {
          apiVersion: Resource.apiVersion(resource),
          kind: resource.kind,
          metadata: { name: id, annotations }
        })
      ),
    compareAndSwap: (id, change) =>
      write(id, "patch", requests.patch(Resource.objectPath(resource, namespace, id), change)),
    watch: (id, from) =>
      Stream.unwrap(
        Effect.map(about(id, "watch"), (about) =>
          watch.changes({ exchange, about, collectionPath, read: read(id), since: from?.since, label: from?.label })
        )
      )
  })
})

/** The store of one resource (in one namespace) of the cluster that the client talks to. */
export const layer = (options: Options): Layer.Layer<ObjectStore, LockError.InvalidName, KubernetesClient> =>
  Layer.effect(ObjectStore, make(options))

/** The store with a client of its own, from a kubeconfig: by default from wherever `kubectl` would find it. */
export const layerKubeConfig = (
  options: Options & { readonly kubeConfig?: KubeConfigOptions | undefined }
): Layer.Layer<ObjectStore, LockError.InvalidName | KubeConfigError> =>
  layer(options).pipe(Layer.provide(clientLayer(options.kubeConfig)))
