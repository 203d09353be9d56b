/**
 * Real Kubernetes API servers for tests and benchmarks.
 *
 * The binaries come from the folder that the environment variable `KUBEBUILDER_ASSETS` names, as in Kubernetes' own
 * envtest (`setup-envtest use -p env` downloads them). `start` runs an etcd and an API server on free loopback ports, in a
 * temporary folder, with certificates of their own. It installs the CRD of Dex's RefreshToken and makes a namespace `dex`.
 * When the scope closes, both processes end and the folder is removed. This also happens if the test process is killed.
 *
 * The certificates need the package `selfsigned`, an optional peer dependency.
 *
 * **Details**
 *
 * - `kube-apiserver` is the whole API: ConfigMaps, Secrets, RBAC, namespaces. `apiextensions-apiserver` serves CRDs only:
 *   it has no `/api/v1`, no namespaces and no RBAC, and only the administrator has any rights.
 * - The administrator is a member of `system:masters`, which is exempt from RBAC and from 429. Use `kubeConfigFor` if
 *   those matter.
 * - The servers and everything that waits for them run in real time, also under a `TestClock`.
 *
 * **Example**
 *
 * ```ts
 * import { it } from "@effect/vitest"
 * import { Effect, Layer } from "effect"
 * import { KubernetesClient, Lock, ObjectStoreKubernetes, Resource } from "kubelock"
 * import { Envtest } from "kubelock/testing"
 *
 * const client = Layer.unwrap(
 *   Effect.map(Envtest.ApiServer, ({ kubeConfig }) => KubernetesClient.layerKubeConfigYaml(kubeConfig))
 * )
 * const lock = Lock.layer().pipe(
 *   Layer.provide(ObjectStoreKubernetes.layer({ resource: Resource.configMap, namespace: "dex" })),
 *   Layer.provide(client),
 *   Layer.provide(Envtest.layer({ server: "kube-apiserver", fsync: false }))
 * )
 *
 * it.layer(lock, { timeout: "1 minute" })("on a real API server", (it) => {
 *   it.effect("locks", () => Effect.scoped(Lock.scoped("a")))
 * })
 * ```
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import type { HttpMethod } from "effect/http/HttpMethod"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Assets from "./Assets.ts"
import type * as Certificates from "./Certificates.ts"
import type * as Client from "./Client.ts"
import * as Daemon from "./Daemon.ts"
import { EnvtestError } from "./EnvtestError.ts"
import * as Flags from "./Flags.ts"
import * as Ports from "./Ports.ts"
import { inRealTime } from "./realTime.ts"
import * as Serving from "./Serving.ts"
import * as Site from "./Site.ts"

/** A kind of API server. */
export type Server = Assets.Server

/** Which server to start. */
export interface Options {
  /** Which server. `apiextensions-apiserver` serves custom resources alone. */
  readonly server: Assets.Server
  /**
   * Whether etcd syncs every write to disk, as it does in production. Tests are faster without it, but benchmarks then
   * mean nothing.
   *
   * @default true
   */
  readonly fsync?: boolean | undefined
}

/** One of the two processes. */
export type Part = "etcd" | "server"

/** A running API server. */
export interface ApiServerProcess {
  /** Which server it is. */
  readonly server: Assets.Server
  /** Its URL, with TLS. */
  readonly url: string
  /** Of its etcd, which asks for no credentials. */
  readonly etcdUrl: string
  /** From `/version`, such as `v1.20.2`. */
  readonly version: string
  /** PEM of the CA that signed all its certificates. */
  readonly ca: string
  /** The temporary folder. `kubeConfigPath` is a file in it. */
  readonly directory: string
  /** The kubeconfig of the administrator: YAML with all certificates embedded. */
  readonly kubeConfig: string
  /** The file of that kubeconfig. */
  readonly kubeConfigPath: string
  /** The kubeconfig of any user. */
  readonly kubeConfigFor: (user: Certificates.User) => Effect.Effect<string>
  /** A pooled HTTP/1.1 client of the administrator. It takes paths (`/apis/...`). */
  readonly client: HttpClient.HttpClient
  /** The same of any user. */
  readonly clientFor: (user: Certificates.User) => Effect.Effect<HttpClient.HttpClient, never, Scope.Scope>
  /**
   * One request of the administrator, and its whole reply. A body is sent as JSON, or as a merge patch if the method
   * is PATCH; `headers` override the content type.
   */
  readonly request: (
    method: HttpMethod,
    path: string,
    body?: unknown,
    headers?: Readonly<Record<string, string>>
  ) => Effect.Effect<Client.Reply, HttpClientError.HttpClientError>
  /**
   * Stops the process of the API server; its port and etcd stay. SIGTERM, the default, becomes SIGKILL after ten
   * seconds.
   */
  readonly stop: (signal?: "SIGTERM" | "SIGKILL") => Effect.Effect<void>
  /** Starts it again, and waits until it serves. */
  readonly start: Effect.Effect<void, EnvtestError>
  /** `stop`, then `start`. */
  readonly restart: (signal?: "SIGTERM" | "SIGKILL") => Effect.Effect<void, EnvtestError>
  /** Freezes a process (SIGSTOP). Its connections stay open, but nothing answers. */
  readonly pause: (part: Part) => Effect.Effect<void>
  /** Thaws it (SIGCONT). */
  readonly resume: (part: Part) => Effect.Effect<void>
  /** The processes that run now. */
  readonly pids: Effect.Effect<ReadonlyArray<number>>
  /** The last lines of the log of one process. */
  readonly log: (part: Part) => Effect.Effect<string>
}

/** Service tag of a running API server. */
export class ApiServer extends Context.Service<ApiServer, ApiServerProcess>()("kubelock/testing/Envtest/ApiServer") {}

/** The binaries that are installed. The error says in one line what is missing. */
export const assets: Effect.Effect<Assets.Assets, EnvtestError> = Assets.find

/** The servers that can be started, for `describe.each`: none if binaries are missing. */
export const servers: Effect.Effect<ReadonlyArray<Assets.Server>> = Assets.find.pipe(
  Effect.map((found) => found.servers.map(({ server }) => server)),
  Effect.orElseSucceed(() => [])
)

/** Starts an etcd and an API server in about four seconds. Fails if either ends, or is not ready within three minutes. */
export const start = (options: Options): Effect.Effect<ApiServerProcess, EnvtestError, Scope.Scope> =>
  launch(options).pipe(
    Effect.retry({ times: 2, while: (error) => error.message.includes("address already in use") }),
    Effect.provide(NodeServices.layer),
    inRealTime
  )

/** `start` as a layer. */
export const layer = (options: Options): Layer.Layer<ApiServer, EnvtestError> => Layer.effect(ApiServer, start(options))

const launch = Effect.fnUntraced(function* (options: Options) {
  // A failed attempt leaves nothing behind for the next one.
  const scope = yield* Scope.fork(yield* Effect.scope)
  return yield* launchOnce(options).pipe(
    Scope.provide(scope),
    Effect.catchTag("PlatformError", (error) => new EnvtestError({ step: options.server, detail: error.message })),
    Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
  )
})

const launchOnce = Effect.fnUntraced(function* ({ server: name, fsync }: Options) {
  const found = yield* Assets.find
  const binary = found.servers.find(({ server }) => server === name)
  if (binary === undefined) {
    return yield* new EnvtestError({ step: name, detail: "is not in the folder that KUBEBUILDER_ASSETS names" })
  }
  const [etcdPort, peerPort, port] = yield* Effect.all([Ports.free, Ports.free, Ports.free])
  const site = yield* Site.make(`https://127.0.0.1:${port}`)
  const { directory, guard } = site

  const etcd = yield* Daemon.make({
    name: "etcd",
    command: found.etcd,
    args: Flags.etcd({ directory, clientPort: etcdPort, peerPort, fsync: fsync ?? true }),
    guard
  })
  const server = yield* Daemon.make({
    name,
    command: binary.path,
    args: Flags.apiServer(name, { directory, etcdPort, port }),
    guard
  })
  const died = Effect.raceFirst(server.died, etcd.died)
  const { install, ready } = Serving.make(name, site.request, died)

  yield* etcd.start
  yield* server.start
  const version = yield* install

  const oneAtATime = yield* Semaphore.make(1)
  const stop = (signal: "SIGTERM" | "SIGKILL" = "SIGTERM") => server.stop(signal)
  const startAgain = Effect.andThen(server.start, ready)
  const parts = { etcd, server }
  return {
    ...site,
    server: name,
    etcdUrl: Flags.etcdUrl(etcdPort),
    version,
    stop: (signal) => oneAtATime.withPermit(stop(signal)),
    start: oneAtATime.withPermit(startAgain).pipe(inRealTime),
    restart: (signal) => oneAtATime.withPermit(Effect.andThen(stop(signal), startAgain)).pipe(inRealTime),
    pause: (part) => parts[part].pause,
    resume: (part) => parts[part].resume,
    pids: Effect.map(Effect.all([etcd.pid, server.pid]), (pids) => pids.filter((pid) => pid !== undefined)),
    log: (part) => parts[part].log
  } satisfies ApiServerProcess
})
