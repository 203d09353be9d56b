/**
 * The object store of a client: its requests, and what their responses mean. `ObjectStoreKubernetes` loads this file with the
 * first store.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type * as LockError from "../../LockError.ts"
import {
  type Content,
  isEmpty,
  managedBy,
  ObjectStore,
  type ObjectSnapshot,
  type ReadOptions,
  type Removal
} from "../../ObjectStore.ts"
import * as Resource from "../../Resource.ts"
import * as leaseSpec from "../election/leaseSpec.ts"
import * as boundedMap from "../boundedMap.ts"
import * as ApiClient from "./apiClient.ts"
import { type Client, descriptions } from "./client.ts"
import type * as decode from "./decode.ts"
import * as encode from "./encode.ts"
import { eventOf, eventsPath } from "./event.ts"
import type * as Http from "./http.ts"
import * as responseError from "./responseError.ts"
import * as watchStream from "./watchStream.ts"

/** The options of `ObjectStoreKubernetes`, with their defaults. */
export interface Options {
  readonly resource: Resource.Resource
  readonly namespace: string
  readonly createIfMissing: boolean
  readonly requestTimeout: Duration.Duration
  readonly clock: "server" | "local"
  readonly includesContent: boolean
}

/** Makes the store. */
export const make = (client: Client, options: Options): ObjectStore["Service"] => {
  const { includesContent, namespace, resource } = options
  const apiClient = ApiClient.make(client, options)
  const isSecret = Resource.name(resource) === Resource.name(Resource.secret)
  const isLease = Resource.name(resource) === Resource.name(Resource.lease)
  const collectionPath = Resource.collectionPath(resource, namespace)
  const kubeConfig = descriptions.get(client)

  // The objects whose field tracking the next write resets. One that is forgotten is found again in the next answer.
  const tracked = boundedMap.make<string, true>(mostTracked)

  const see = (id: string, { isTracked, snapshot }: decode.Decoded): ObjectSnapshot => {
    const mayReset = !resource.tracksFields || snapshot.labels[managedBy.key] === managedBy.value
    if (isTracked && mayReset) tracked.set(id, true)
    else tracked.delete(id)
    return snapshot
  }

  const snapshotIn = (response: Http.Response, info: responseError.RequestInfo) =>
    Effect.map(ApiClient.objectIn(response, info, includesContent), (object) => see(info.id, object))

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

  // The server may answer any version from its cache.
  const read = Effect.fnUntraced(function* (id: string, { mayBeStale = false }: ReadOptions = {}) {
    const info = yield* requestInfo(id, "get")
    const response = yield* send(
      encode.get(`${Resource.objectPath(resource, namespace, id)}${mayBeStale ? "?resourceVersion=0" : ""}`),
      info
    )
    return yield* snapshotIn(response, info)
  })

  const write = Effect.fnUntraced(function* (id: string, verb: string, request: Http.Request) {
    const info = yield* requestInfo(id, verb)
    const response = yield* send(request, info)
    return responseError.isPreconditionFailed(response) ? Option.none() : Option.some(yield* snapshotIn(response, info))
  })

  // Of an empty Secret the API server makes one of type Opaque. The spec of a Lease that nobody holds tells only of the past.
  const contentOf = ({ spec = null, type = null, ...content }: Content): Content => ({
    ...content,
    type: isSecret ? null : type,
    spec: isLease && leaseSpec.holderOf(leaseSpec.fromContent({ spec })) === undefined ? null : spec
  })

  const remove = Effect.fnUntraced(function* (
    id: string,
    version: Pick<ObjectSnapshot, "uid" | "resourceVersion">
  ): Effect.fn.Return<Removal, LockError.StoreError> {
    const path = Resource.objectPath(resource, namespace, id)
    const reading = yield* requestInfo(id, "get")
    const { snapshot: found } = yield* ApiClient.objectIn(
      yield* apiClient.request(encode.get(path), reading),
      reading,
      true
    )
    if (found.uid !== version.uid || found.resourceVersion !== version.resourceVersion) return "Changed"
    if (!isEmpty(contentOf(found.content ?? {}))) return "HasContent"
    const deletion = { ...reading, verb: "delete" }
    const response = yield* apiClient.request(encode.remove(path, version), deletion)
    if (responseError.isPreconditionFailed(response)) return "Changed"
    return response.status >= 200 && response.status <= 299
      ? "Removed"
      : yield* Effect.fail(responseError.toError(response, deletion))
  })

  return ObjectStore.of({
    createIfMissing: options.createIfMissing,
    sharedWithDex: resource.sharedWithDex,
    holdsLeases: isLease,
    annotation: resource.annotation,
    includesContent,
    describe: (id) => Resource.describe(resource, namespace, id),
    now: apiClient.now,
    sessionLeases: {
      namespace,
      leases: (namespace) =>
        make(client, { ...options, resource: Resource.lease, namespace, createIfMissing: true, includesContent: true }),
      description:
        kubeConfig === undefined
          ? undefined
          : () => ({
              server: client.server,
              kubeConfig,
              requestTimeout: Duration.toMillis(options.requestTimeout),
              clock: options.clock
            })
    },
    read,
    create: (id, annotations, content) =>
      write(
        id,
        "create",
        encode.post(collectionPath, {
          apiVersion: Resource.apiVersion(resource),
          kind: resource.kind,
          ...content,
          metadata: { name: id, annotations, labels: { [managedBy.key]: managedBy.value } }
        })
      ),
    compareAndSwap: (id, patch) =>
      write(id, "patch", encode.patch(Resource.objectPath(resource, namespace, id), patch, tracked.get(id) === true)),
    remove,
    dryRun: Effect.fnUntraced(function* (id, patch) {
      const info = yield* requestInfo(id, "patch")
      const request = encode.patch(Resource.objectPath(resource, namespace, id), patch, false)
      const response = yield* send(encode.dryRun(request), info)
      if (responseError.isPreconditionFailed(response)) return { _tag: "Refused" }
      if (responseError.isDryRunUnsupported(response)) return { _tag: "Unknown" }
      return { _tag: "Accepted", snapshot: yield* snapshotIn(response, info) }
    }),
    announce: Effect.fnUntraced(function* (id, about, news) {
      const info = { ...(yield* requestInfo(id, "create")), object: `events in namespace ${namespace}` }
      const { latest } = yield* apiClient.now
      const at = Number.isFinite(latest) ? latest : yield* Clock.currentTimeMillis
      const event = eventOf(resource, namespace, id, about, news, at)
      const response = yield* apiClient.request(encode.metadataOnly(encode.post(eventsPath(namespace), event)), info)
      return response.status >= 200 && response.status <= 299
        ? undefined
        : yield* Effect.fail(responseError.toError(response, info))
    }),
    watch: (id, { changesOnly, content, label, since } = {}) =>
      Stream.unwrap(
        Effect.map(requestInfo(id, "watch"), (info) =>
          watchStream.make({
            apiClient,
            info,
            collectionPath,
            read: read(id),
            see: (object) => see(id, object),
            since,
            label,
            includesContent: includesContent && (content === true || isLease),
            changesOnly: changesOnly === true
          })
        )
      )
  })
}

/** Of how many objects it is known at most that the server tracks their fields. Our choice. */
const mostTracked = 10_000
