/**
 * Real Kubernetes API servers for tests, benchmarks and chaos runs.
 *
 * `start` runs an etcd and an API server on free loopback ports, in a temporary folder, with certificates of their own,
 * with Dex's RefreshToken CRD installed and a namespace `dex`. Closing the scope ends both and removes the folder; if
 * the process is killed instead, `Guard` does.
 *
 * **Details**
 *
 * - `kube-apiserver` is the whole API: ConfigMaps, Secrets, RBAC, namespaces. `apiextensions-apiserver` serves CRDs
 *   only: no `/api/v1`, no namespaces to create, no RBAC, and nobody but the administrator may do anything.
 * - Members of `system:masters`, as the administrator is, are exempt from RBAC and from 429: take `kubeConfigFor`
 *   where those matter.
 * - Everything here keeps to real time, also under a `TestClock`.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FileSystem from "effect/FileSystem"
import type * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import type { HttpMethod } from "effect/http/HttpMethod"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Path from "node:path"
import * as Assets from "./Assets.ts"
import * as Certificates from "./Certificates.ts"
import * as Client from "./Client.ts"
import * as Daemon from "./Daemon.ts"
import { EnvtestError } from "./EnvtestError.ts"
import * as Flags from "./Flags.ts"
import * as Guard from "./Guard.ts"
import * as KubeConfig from "./KubeConfig.ts"
import * as Ports from "./Ports.ts"

/** What a suite asks for. */
export interface Options {
  readonly server: Assets.Server
  /**
   * Whether etcd syncs every write to disk, as users' clusters do. Without it suites are quicker; benchmarks then
   * measure nothing.
   *
   * @default true
   */
  readonly fsync?: boolean | undefined
}

/** The two processes. */
export type Part = "etcd" | "server"

/**
 * A running API server.
 *
 * - `version`: what `/version` says, as `v1.20.2`.
 * - `ca`: PEM of the CA that signed all its certificates.
 * - `directory`: the temporary folder; `kubeConfigPath` is a file in it.
 * - `kubeConfig`, `kubeConfigFor`: YAML with all certificates embedded; of the administrator, of any user.
 * - `client`, `clientFor`: pooled HTTP/1.1 clients that take paths (`/apis/...`), for whole replies and watches.
 * - `request`: one request of the administrator (`Client.send`).
 * - `stop`, `start`, `restart`: of the API server process; port and etcd stay. `start` waits until it serves again.
 *   SIGTERM becomes SIGKILL after ten seconds.
 * - `pause`, `resume`: freeze and thaw a process (SIGSTOP, SIGCONT): connections stay open, nothing answers.
 * - `pids`: of what runs at the moment. `log`: the last lines of one process.
 */
export interface ApiServerProcess {
  readonly server: Assets.Server
  readonly url: string
  readonly version: string
  readonly ca: string
  readonly directory: string
  readonly kubeConfig: string
  readonly kubeConfigPath: string
  readonly kubeConfigFor: (user: Certificates.User) => Effect.Effect<string>
  readonly client: HttpClient.HttpClient
  readonly clientFor: (user: Certificates.User) => Effect.Effect<HttpClient.HttpClient, never, Scope.Scope>
  readonly request: (
    method: HttpMethod,
    path: string,
    body?: unknown,
    headers?: Readonly<Record<string, string>>
  ) => Effect.Effect<Client.Reply, HttpClientError.HttpClientError>
  readonly stop: (signal?: "SIGTERM" | "SIGKILL") => Effect.Effect<void>
  readonly start: Effect.Effect<void, EnvtestError>
  readonly restart: (signal?: "SIGTERM" | "SIGKILL") => Effect.Effect<void, EnvtestError>
  readonly pause: (part: Part) => Effect.Effect<void>
  readonly resume: (part: Part) => Effect.Effect<void>
  readonly pids: Effect.Effect<ReadonlyArray<number>>
  readonly log: (part: Part) => Effect.Effect<string>
}

/** Service tag of a running API server, for `layer`. */
export class ApiServer extends Context.Service<ApiServer, ApiServerProcess>()("kubelock/test/Envtest/ApiServer") {}

/** The binaries that are there; the error says in one line what is missing. */
export const assets: Effect.Effect<Assets.Assets, EnvtestError> = Assets.find

/** The servers that the binaries allow, for `describe.each`; none where binaries are missing. */
export const servers: Effect.Effect<ReadonlyArray<Assets.Server>> = Assets.find.pipe(
  Effect.map((found) => found.servers.map(({ server }) => server)),
  Effect.orElseSucceed(() => [])
)

/** Starts an etcd and an API server: about four seconds. Fails where either dies, or is not ready within a minute. */
export const start = (options: Options): Effect.Effect<ApiServerProcess, EnvtestError, Scope.Scope> =>
  launch(options).pipe(
    Effect.retry({ times: 2, while: (error) => error.message.includes("address already in use") }),
    Effect.provide(NodeServices.layer),
    inRealTime
  )

/** A layer of `start`. */
export const layer = (options: Options): Layer.Layer<ApiServer, EnvtestError> => Layer.effect(ApiServer, start(options))

/** What `start` promises to be there. */
const namespace = "dex"

const crd = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "refreshtokens.dex.coreos.com" },
  spec: {
    group: "dex.coreos.com",
    names: { kind: "RefreshToken", listKind: "RefreshTokenList", plural: "refreshtokens", singular: "refreshtoken" },
    scope: "Namespaced",
    versions: [
      {
        name: "v1",
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } }
      }
    ]
  }
}

const launch = Effect.fnUntraced(function* (options: Options) {
  // a scope of its own, so that a failed attempt leaves nothing to the next
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
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "kubelock-envtest-" })
  const guard = yield* Guard.make(directory)
  const [etcdPort, peerPort, port] = yield* Effect.all([Ports.free, Ports.free, Ports.free])
  const url = `https://127.0.0.1:${port}`

  const ca = yield* Certificates.authority
  const serving = yield* Certificates.serving(ca)
  const serviceAccounts = yield* Certificates.signing
  const admin = yield* Certificates.client(ca, { name: "admin", groups: ["system:masters"] })
  const kubeConfig = KubeConfig.make({ url, ca: ca.cert, user: "admin", credentials: admin })
  const files = {
    "ca.crt": ca.cert,
    "tls.crt": serving.cert,
    "tls.key": serving.key,
    "sa.pub": serviceAccounts.cert,
    "sa.key": serviceAccounts.key,
    kubeconfig: kubeConfig
  }
  yield* Effect.forEach(Object.entries(files), ([file, text]) =>
    fs.writeFileString(Path.join(directory, file), text, { mode: 0o600 })
  )

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
  const client = yield* Client.make(url, ca.cert, admin)
  const request: ApiServerProcess["request"] = (...args) => Client.send(client, ...args)

  const until = (step: string, ask: ReturnType<typeof request>, good: (reply: Client.Reply) => boolean) =>
    untilGood(name, step, ask, good).pipe(Effect.raceFirst(server.died), Effect.raceFirst(etcd.died))
  // /readyz of apiextensions-apiserver looks for Services, which it does not have
  const health = name === "kube-apiserver" ? "/readyz" : "/healthz"
  const ready = until("becoming ready", request("GET", health), ({ status }) => status === 200)
  const served = until(
    "serving refreshtokens",
    request("GET", `/apis/dex.coreos.com/v1/namespaces/${namespace}/refreshtokens`),
    ({ status }) => status === 200
  )
  const create = (path: string, body: unknown) =>
    until(`POST ${path}`, request("POST", path, body), ({ status }) => status === 201 || status === 409)

  yield* etcd.start
  yield* server.start
  yield* ready
  yield* create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd)
  yield* served
  if (name === "kube-apiserver") {
    yield* create("/api/v1/namespaces", { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } })
  }
  const version = yield* until("GET /version", request("GET", "/version"), ({ status }) => status === 200)

  const oneAtATime = yield* Semaphore.make(1)
  const stop = (signal: "SIGTERM" | "SIGKILL" = "SIGTERM") => server.stop(signal)
  const startAgain = server.start.pipe(Effect.andThen(ready), Effect.andThen(served), Effect.asVoid)
  const parts = { etcd, server }
  const credentials = (user: Certificates.User) => Certificates.client(ca, user)
  return {
    server: name,
    url,
    version: String(version.body["gitVersion"]),
    ca: ca.cert,
    directory,
    kubeConfig,
    kubeConfigPath: Path.join(directory, "kubeconfig"),
    kubeConfigFor: (user) =>
      Effect.map(credentials(user), (own) => KubeConfig.make({ url, ca: ca.cert, user: user.name, credentials: own })),
    client,
    clientFor: (user) => Effect.flatMap(credentials(user), (own) => Client.make(url, ca.cert, own)),
    request,
    stop: (signal) => oneAtATime.withPermit(stop(signal)),
    start: oneAtATime.withPermit(startAgain).pipe(inRealTime),
    restart: (signal) => oneAtATime.withPermit(Effect.andThen(stop(signal), startAgain)).pipe(inRealTime),
    pause: (part) => parts[part].pause,
    resume: (part) => parts[part].resume,
    pids: Effect.map(Effect.all([etcd.pid, server.pid]), (pids) => pids.filter((pid) => pid !== undefined)),
    log: (part) => parts[part].log
  } satisfies ApiServerProcess
})

/** Repeats a request until it is answered as wished. */
const untilGood = Effect.fnUntraced(function* (
  name: string,
  step: string,
  ask: ReturnType<ApiServerProcess["request"]>,
  good: (reply: Client.Reply) => boolean
) {
  let last = "no answer"
  const attempts = Effect.gen(function* () {
    while (true) {
      const reply = yield* Effect.result(Effect.timeout(ask, "5 seconds"))
      if (Result.isSuccess(reply) && good(reply.success)) return reply.success
      last = Result.isSuccess(reply)
        ? `${reply.success.status} ${JSON.stringify(reply.success.body)}`
        : reply.failure.message
      yield* Effect.sleep("50 millis")
    }
  })
  return yield* Effect.timeoutOrElse(attempts, {
    duration: "60 seconds",
    orElse: () => new EnvtestError({ step: name, detail: `${step} takes over a minute; the last answer was ${last}` })
  })
})

const inRealTime = Effect.provideService(Clock.Clock, Clock.Clock.defaultValue())
