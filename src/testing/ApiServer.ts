/**
 * An API server in this process, for tests: the part of Kubernetes that a lock needs, over HTTP on the loopback
 * interface.
 *
 * It serves ConfigMaps, Secrets, Leases, Events, Namespaces and CustomResourceDefinitions with the validation of
 * Kubernetes, and custom resources of any group, with or without a definition: GET, LIST in pages, POST, PUT, PATCH (JSON
 * patch, JSON merge patch, strategic merge patch, server-side apply), DELETE of an object and of a collection, watch, dry runs, metadata-only
 * responses, tables, selectors, bookmarks, history, discovery, OpenAPI documents, SelfSubjectAccessReviews and
 * `metav1.Status` errors. `kubectl` and `@kubernetes/client-node` work on it.
 * Tests compare its responses with those of Kubernetes 1.20 and 1.36. You can inject faults, skew the clock, compact the
 * history, and end or freeze watches.
 *
 * **Example** (A server that is overloaded for two requests)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import { ApiServer } from "kubelock/testing"
 *
 * const program = Effect.gen(function*() {
 *   const server = yield* ApiServer.ApiServer
 *   yield* server.inject(ApiServer.tooManyRequests(), { times: 2 })
 *   return server.url
 * }).pipe(Effect.scoped, Effect.provide(ApiServer.layer()))
 * ```
 *
 * **Not supported.** What a real server does and this one does not gets 501 and a sentence that says so: YAML bodies,
 * resources of Kubernetes itself other than those above, their subresources, and CRDs with features that this server would
 * ignore (webhooks, CEL rules, `oneOf`, formats of strings, embedded resources, the scale subresource, several served versions).
 * Otherwise:
 *
 * - `managedFields` are kept as real servers keep them, except that an object that `put` stored has none until somebody
 *   applies to it. Of protobuf it reads only what `kubectl` makes itself (`kubectl create
 *   configmap`), and it answers in JSON.
 * - A custom resource without a definition, and a resource that you list in `resources`, is kept as it is.
 * - RBAC: every client with the token may do everything. Inject `Forbid` to deny verbs; reviews know of it. Priority and
 *   fairness: inject `tooManyRequests()`. A server that stalls: inject `Delay` or `Drop`.
 * - Admission webhooks and garbage collection: there are none. A deleted namespace is gone with its objects at once.
 * - Integers of more than 53 bits lose their last digits.
 * - GET and LIST of a future version: 504 at once. A real server waits three seconds first.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as HttpServer from "effect/http/HttpServer"
import * as ByteSize from "effect/ByteSize"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { createServer } from "node:http"
import * as Resource from "../Resource.ts"
import { Catalog } from "./internal/catalog.ts"
import { Controllers } from "./internal/controllers.ts"
import { Fault, Faults } from "./internal/faults.ts"
import { makeHandler } from "./internal/httpHandler.ts"
import { isBuiltInGroup } from "./internal/kinds/builtInGroups.ts"
import { namespace as namespaceKind } from "./internal/kinds/index.ts"
import { apiVersionOf, opaque } from "./internal/kinds/kind.ts"
import type { KubeObject } from "./internal/kubeObject.ts"
import { ObjectTable, resourceKey } from "./internal/objectTable.ts"
import { readObject } from "./internal/readObject.ts"
import { maxBodyBytes } from "./internal/reply.ts"
import { type Counts, type LoggedRequest, RequestLog, type SeenRequest } from "./internal/requests.ts"
import { Watches } from "./internal/watches.ts"

export { Fault, type Moment } from "./internal/faults.ts"
export type { KubeObject, ObjectMetadata } from "./internal/kubeObject.ts"
export type { Counts, LoggedRequest, SeenRequest, Verb } from "./internal/requests.ts"

/** The response of an overloaded API server: 429, plain text, and `Retry-After` in seconds (1 by default). */
export const tooManyRequests = (retryAfterSeconds = 1): Fault =>
  Fault.Answer({
    at: "Request",
    status: 429,
    body: "Too many requests, please try again later.\n",
    headers: { "retry-after": String(retryAfterSeconds) }
  })

/** Options of the server. */
export interface Options {
  /**
   * The resources to serve, besides namespaces. A path to another one gets 404. By default the kinds that the server
   * knows, and any custom resource.
   */
  readonly resources?: ReadonlyArray<Resource.Resource> | undefined
  /**
   * The namespaces that exist at the start, besides `default`, `kube-system`, `kube-public` and `kube-node-lease`. As on
   * a real server, objects cannot be created in others. `put` makes the namespace that it needs.
   */
  readonly namespaces?: ReadonlyArray<string> | undefined
  /**
   * The bearer token that every request must have. Without a token it gets 403, with another one 401. By default none.
   */
  readonly token?: string | undefined
  /** The least number of events that are kept for watches from a past version. 4096 by default. */
  readonly historyLimit?: number | undefined
}

/** The requests that an injected fault applies to. */
export interface InjectOptions {
  /** Which requests. By default all. */
  readonly when?: ((request: SeenRequest) => boolean) | undefined
  /** How many of them. By default all, until the scope closes. */
  readonly times?: number | undefined
}

/**
 * The service of the server.
 *
 * **Details**
 *
 * - `url`: `http://127.0.0.1:PORT`.
 * - `kubeConfig`: a kubeconfig for the server, as YAML. It sets `insecure-skip-tls-verify`, because
 *   `@kubernetes/client-node` accepts plain HTTP only then.
 * - `get`, `list`, `put`, `remove`: access to the objects without HTTP, faults or log. `put` creates or overwrites,
 *   whatever the version. It dies if the object does not fit its kind, and does not validate it otherwise. The `namespace` of a cluster-scoped object is `""`. For `list`, `""` means all namespaces.
 * - `inject`: injects a fault until the scope closes, or for `times` requests. Succeeds with an effect that counts the
 *   affected requests. If several faults apply to one request, they take effect in the order of injection, up to the
 *   first one that prevents the request from being applied.
 * - `counts`: the number of requests by verb. `requests`: the last ten thousand requests. `clearRequests` resets both.
 * - `openWatches`: the number of open watches.
 * - `endWatches`: ends all watches, `Cleanly` as a timeout does (the default), or `Abruptly` by closing their
 *   connections. Succeeds with their number.
 * - `freezeWatches`: holds back everything that watches send, including their ends, until the scope closes.
 * - `compact`: drops the history. A watch from any earlier version then gets 410.
 * - `setClockOffset`: how far the server's clock (`Date` header, timestamps) is ahead of Effect's `Clock`.
 * - `setToken`: the token to accept from now on.
 */
export class ApiServer extends Context.Service<
  ApiServer,
  {
    readonly url: string
    readonly kubeConfig: string
    readonly get: (
      resource: Resource.Resource,
      namespace: string,
      name: string
    ) => Effect.Effect<Option.Option<KubeObject>>
    readonly list: (resource: Resource.Resource, namespace: string) => Effect.Effect<ReadonlyArray<KubeObject>>
    readonly put: (resource: Resource.Resource, namespace: string, object: Seed) => Effect.Effect<KubeObject>
    readonly remove: (resource: Resource.Resource, namespace: string, name: string) => Effect.Effect<void>
    readonly inject: (fault: Fault, options?: InjectOptions) => Effect.Effect<Effect.Effect<number>, never, Scope.Scope>
    readonly counts: Effect.Effect<Counts>
    readonly requests: Effect.Effect<ReadonlyArray<LoggedRequest>>
    readonly clearRequests: Effect.Effect<void>
    readonly openWatches: Effect.Effect<number>
    readonly endWatches: (how?: "Cleanly" | "Abruptly") => Effect.Effect<number>
    readonly freezeWatches: Effect.Effect<void, never, Scope.Scope>
    readonly compact: Effect.Effect<void>
    readonly setClockOffset: (offset: Duration.Input) => Effect.Effect<void>
    readonly setToken: (token: string | undefined) => Effect.Effect<void>
  }
>()("kubelock/testing/ApiServer") {}

/** An object to store. The server adds the missing metadata. */
export interface Seed {
  /** Its name and what else of its metadata is given. The server adds the rest. */
  readonly metadata: {
    readonly name: string
    readonly labels?: Readonly<Record<string, string>> | undefined
    readonly annotations?: Readonly<Record<string, string>> | undefined
    readonly finalizers?: ReadonlyArray<string> | undefined
  }
  readonly [field: string]: unknown
}

/**
 * Starts a server on a free port of 127.0.0.1 and stops it when the scope closes. Stopping ends open watches. Dies if
 * no port can be bound.
 */
export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<ApiServer["Service"], never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const table = new ObjectTable(options.historyLimit ?? 4096)
  const watches = new Watches()
  const faults = new Faults()
  const log = new RequestLog()
  const catalog = new Catalog(options.resources, table)
  const controllers = new Controllers(table)
  let offset = 0
  let token = options.token

  const seconds = () => Math.floor((clock.currentTimeMillisUnsafe() + offset) / 1000)
  const timestamp = () => `${DateTime.formatIso(DateTime.fromEpochSeconds(seconds())).slice(0, 19)}Z`
  let dateSeconds = Number.NaN
  let date = ""
  const httpDate = () => {
    const now = seconds()
    if (now !== dateSeconds) {
      dateSeconds = now
      date = DateTime.toDateUtc(DateTime.fromEpochSeconds(now)).toUTCString()
    }
    return date
  }

  const put = (resource: Resource.Resource, namespace: string, seed: Seed): KubeObject => {
    const key = resourceKey(resource)
    if (namespace !== "") ensureNamespace(namespace)
    const old = table.get(key, namespace, seed.metadata.name)?.object
    const found = catalog.find({ ...resource, namespace, name: seed.metadata.name, subresource: undefined })
    const kind = "kind" in found ? found.kind : opaque(resource, isBuiltInGroup(resource.group))
    const { apiVersion, kind: kindName } = old ?? { apiVersion: apiVersionOf(resource), kind: resource.kind }
    const read = readObject(kind, { apiVersion, kind: kindName, ...seed })
    if (Result.isFailure(read)) throw new TypeError(`${resource.kind} ${seed.metadata.name}: ${read.failure}`)
    const object = {
      ...read.success.draft,
      metadata: {
        ...seed.metadata,
        ...(namespace === "" ? undefined : { namespace }),
        uid: old?.metadata.uid ?? crypto.randomUUID(),
        creationTimestamp: old?.metadata.creationTimestamp ?? timestamp(),
        ...(kind.isBuiltIn ? undefined : { generation: (old?.metadata.generation ?? 0) + 1 })
      }
    } as unknown as KubeObject
    const next = table.next(kind.prepare?.(object, old) ?? object)
    table.put(key, next)
    catalog.learn(resource, kindName)
    controllers.run()
    return next.object
  }
  const ensureNamespace = (name: string) => {
    if (table.get(resourceKey(namespaceKind), "", name) === undefined) {
      put(Resource.make(namespaceKind), "", { metadata: { name } })
    }
  }
  for (const name of [...defaultNamespaces, ...(options.namespaces ?? [])]) ensureNamespace(name)

  const server = yield* NodeHttpServer.make(() => createServer({ keepAliveTimeout: 90_000 }), {
    host: "127.0.0.1",
    port: 0,
    gracefulShutdownTimeout: 50
  }).pipe(Effect.orDie)
  yield* server
    .serve(
      makeHandler({
        table,
        watches,
        catalog,
        controllers,
        isForbidden: (request) => faults.isForbidden(request),
        faults,
        log,
        clock: { httpDate, timestamp },
        token: () => token
      })
    )
    .pipe(Effect.provideService(HttpIncomingMessage.MaxBodySize, ByteSize.bytes(maxBodyBytes)))
  // Finalizers run in reverse order. The watches end first, then the other requests have 50 ms to finish.
  yield* Effect.addFinalizer(() => Effect.sync(() => watches.end(false)))
  const url = HttpServer.formatAddress(server.address)

  return ApiServer.of({
    url,
    kubeConfig: kubeConfigOf(url, options.token),
    get: (resource, namespace, name) =>
      Effect.sync(() => Option.fromNullishOr(table.get(resourceKey(resource), namespace, name)?.object)),
    list: (resource, namespace) =>
      Effect.sync(() => table.list(resourceKey(resource), namespace).map((version) => version.object)),
    put: (resource, namespace, object) => Effect.sync(() => put(resource, namespace, object)),
    remove: (resource, namespace, name) =>
      Effect.sync(() => {
        table.remove(resourceKey(resource), namespace, name)
        controllers.run()
      }),
    inject: (fault, { when = () => true, times = Number.POSITIVE_INFINITY } = {}) =>
      Effect.acquireRelease(
        Effect.sync(() => faults.add(fault, when, times)),
        (injected) => Effect.sync(() => faults.remove(injected))
      ).pipe(Effect.map((injected) => Effect.sync(() => injected.hits))),
    counts: Effect.sync(() => log.counts),
    requests: Effect.sync(() => log.requests),
    clearRequests: Effect.sync(() => log.clear()),
    openWatches: Effect.sync(() => watches.size),
    endWatches: (how = "Cleanly") => Effect.sync(() => watches.end(how === "Abruptly")),
    freezeWatches: Effect.acquireRelease(
      Effect.sync(() => watches.freeze()),
      () => Effect.sync(() => watches.thaw())
    ),
    compact: Effect.sync(() => table.compact()),
    setClockOffset: (by) =>
      Effect.sync(() => {
        offset = Duration.toMillis(by)
      }),
    setToken: (next) =>
      Effect.sync(() => {
        token = next
      })
  })
})

/** A server as a layer. Each build of the layer starts a new server. */
export const layer = (options?: Options): Layer.Layer<ApiServer> => Layer.effect(ApiServer, make(options))

/** The namespaces of every new cluster. */
const defaultNamespaces = ["default", "kube-node-lease", "kube-public", "kube-system"]

const kubeConfigOf = (url: string, token: string | undefined): string => `apiVersion: v1
kind: Config
clusters:
  - name: kubelock
    cluster:
      server: ${url}
      insecure-skip-tls-verify: true
users:
  - name: kubelock
    user: ${token === undefined ? "{}" : `{ token: ${JSON.stringify(token)} }`}
contexts:
  - name: kubelock
    context:
      cluster: kubelock
      user: kubelock
      namespace: default
current-context: kubelock
`
