/**
 * An API server in this process, for tests: the part of Kubernetes that a lock needs, over real HTTP on loopback.
 *
 * Any resource is served (any group, version and plural, in a namespace or not): GET, LIST, POST, PUT, PATCH (JSON
 * merge patch, JSON patch), DELETE and watch, with optimistic concurrency, selectors, metadata-only forms, bookmarks,
 * history and `metav1.Status` errors. What it answers is compared in the tests with transcripts of a real Kubernetes
 * 1.36 server. Faults can be injected, the clock skewed, the history compacted, watches ended or frozen.
 *
 * **Example** (A server, and an object on it)
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
 * **Left out**, because no lock needs it, and how the server answers all the same:
 *
 * - Server-side apply: 415, as any patch of an unknown media type. `managedFields` are neither kept nor sent.
 * - Strategic merge patch: 415. Custom resources answer so; ConfigMaps and Secrets on a real server accept it.
 * - LIST in pieces (`limit`, `continue`) and LIST of the past (`resourceVersionMatch=Exact`): the whole present state.
 * - DELETE of a collection: 405. Subresources (`/status`, `/scale`): 404.
 * - YAML, protobuf, tables: 415 in a request, 406 in an answer.
 * - RBAC: with a token everybody may do everything; refuse verbs with the fault `Forbid`. Priority and fairness: inject
 *   `tooManyRequests()`. A store that stalls: inject `Delay` and `Drop`.
 * - Schemas, admission, defaults: objects are opaque outside their metadata. Leases are not validated, and PUT does not
 *   create them.
 * - A version that lies in the future (GET, LIST): 504 at once; a real server waits three seconds first.
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
import type * as Scope from "effect/Scope"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { createServer } from "node:http"
import type * as Resource from "../Resource.ts"
import { Catalog, namespaces as namespaceResource } from "./internal/catalog.ts"
import { Fault, Faults } from "./internal/faults.ts"
import { makeHandler } from "./internal/httpHandler.ts"
import type { KubeObject } from "./internal/kubeObject.ts"
import { ObjectTable, resourceKey } from "./internal/objectTable.ts"
import { maxBodyBytes } from "./internal/reply.ts"
import { isBuiltIn } from "./internal/requestPath.ts"
import { type Counts, type LoggedRequest, RequestLog, type SeenRequest } from "./internal/requests.ts"
import { Watches } from "./internal/watches.ts"

export { Fault, type Moment } from "./internal/faults.ts"
export type { KubeObject, ObjectMetadata } from "./internal/kubeObject.ts"
export type { Counts, LoggedRequest, SeenRequest, Verb } from "./internal/requests.ts"

/** 429 as an overloaded API server answers it: plain text, and `Retry-After` in seconds (by default 1). */
export const tooManyRequests = (retryAfterSeconds = 1): Fault =>
  Fault.Answer({
    at: "Request",
    status: 429,
    body: "Too many requests, please try again later.\n",
    headers: { "retry-after": String(retryAfterSeconds) }
  })

/** Options of the server. */
export interface Options {
  /** The resources served. Any, unless it is given; a path that leads to no resource answers 404. */
  readonly resources?: ReadonlyArray<Resource.Resource> | undefined
  /** The namespaces that exist at first. Any namespace exists, unless it is given. */
  readonly namespaces?: ReadonlyArray<string> | undefined
  /** The bearer token that every request must carry: without one 403, with another 401. None, unless it is given. */
  readonly token?: string | undefined
  /** How many events are kept for watches that begin in the past, at least. 4096, unless it is given. */
  readonly historyLimit?: number | undefined
}

/** Where an injected fault strikes. */
export interface InjectOptions {
  /** Which requests. All, unless it is given. */
  readonly when?: ((request: SeenRequest) => boolean) | undefined
  /** How many of them. All until the scope closes, unless it is given. */
  readonly times?: number | undefined
}

/**
 * Service tag of the server.
 *
 * **Details**
 *
 * - `url`: `http://127.0.0.1:PORT`.
 * - `kubeConfig`: a kubeconfig for it, YAML. `insecure-skip-tls-verify` is set, because `@kubernetes/client-node` accepts
 *   plain HTTP only so.
 * - `get`, `list`, `put`, `remove`: the table itself, past HTTP, faults and log. `put` creates or overwrites, whatever the
 *   version; `namespace` is `""` for what is in none, and for `list` also means all.
 * - `inject`: makes a fault strike until the scope closes, or `times` requests. What it gives back tells how many
 *   requests it has struck. Of several faults for one request, each strikes in the order of injection, up to the first
 *   that keeps it from being applied.
 * - `counts`, `requests`: how many requests of each verb came in, and the newest ten thousand of them; `clearRequests`
 *   forgets both.
 * - `openWatches`: how many watches are open.
 * - `endWatches`: ends all watches, `Cleanly` as a time-out does (the default), or `Abruptly` with their connections.
 *   Answers how many there were.
 * - `freezeWatches`: holds back whatever watches would say, ends included, until the scope closes; then it is said.
 * - `compact`: forgets the history, so that a watch from any version seen so far is too old (410).
 * - `setClockOffset`: by how much the server's clock (`Date` header, timestamps) is ahead of Effect's `Clock`.
 * - `setToken`: which token is accepted from now on.
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

/** An object to put into the table; the server adds what is missing. */
export interface Seed {
  readonly metadata: {
    readonly name: string
    readonly labels?: Readonly<Record<string, string>> | undefined
    readonly annotations?: Readonly<Record<string, string>> | undefined
    readonly finalizers?: ReadonlyArray<string> | undefined
  }
  readonly [field: string]: unknown
}

/**
 * A server on a free port of 127.0.0.1, for as long as the scope is open. Closing ends the watches that are open. Dies
 * where no port can be bound.
 */
export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<ApiServer["Service"], never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const table = new ObjectTable(options.historyLimit ?? 4096)
  const watches = new Watches()
  const faults = new Faults()
  const log = new RequestLog()
  const catalog = new Catalog(options.resources)
  let offset = 0
  let token = options.token

  const seconds = () => Math.floor((clock.currentTimeMillisUnsafe() + offset) / 1000)
  const timestamp = () => `${DateTime.formatIso(DateTime.fromEpochSeconds(seconds())).slice(0, 19)}Z`
  let dateOf = Number.NaN
  let date = ""
  const httpDate = () => {
    const now = seconds()
    if (now !== dateOf) {
      dateOf = now
      date = DateTime.toDateUtc(DateTime.fromEpochSeconds(now)).toUTCString()
    }
    return date
  }

  const put = (resource: Resource.Resource, namespace: string, seed: Seed): KubeObject => {
    const key = resourceKey(resource)
    const old = table.get(key, namespace, seed.metadata.name)?.object
    const { apiVersion, kind } = old ?? {
      apiVersion: resource.group === "" ? resource.version : `${resource.group}/${resource.version}`,
      kind: resource.kind
    }
    const next = table.next({
      apiVersion,
      kind,
      ...seed,
      metadata: {
        ...seed.metadata,
        ...(namespace === "" ? undefined : { namespace }),
        uid: old?.metadata.uid ?? crypto.randomUUID(),
        creationTimestamp: old?.metadata.creationTimestamp ?? timestamp(),
        ...(isBuiltIn(resource.group) ? undefined : { generation: (old?.metadata.generation ?? 0) + 1 })
      }
    } as unknown as KubeObject)
    table.put(key, next)
    catalog.learn(key, kind)
    return next.object
  }
  for (const name of options.namespaces ?? []) put(namespaceResource, "", { metadata: { name } })

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
        checkNamespaces: options.namespaces !== undefined,
        faults,
        log,
        clock: { httpDate, timestamp },
        token: () => token
      })
    )
    .pipe(Effect.provideService(HttpIncomingMessage.MaxBodySize, ByteSize.bytes(maxBodyBytes)))
  // finalizers run in reverse: the watches end first, then other requests get their 50 ms
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
    remove: (resource, namespace, name) => Effect.sync(() => table.remove(resourceKey(resource), namespace, name)),
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

/** A server of its own for whoever builds the layer. */
export const layer = (options?: Options): Layer.Layer<ApiServer> => Layer.effect(ApiServer, make(options))

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
