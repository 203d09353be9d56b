/**
 * The connection to an API server: its address, the credentials, and one set of pooled connections.
 *
 * `@kubernetes/client-node` reads the kubeconfig. Requests do not go through it, because it opens a new connection for
 * each; `internal/kubernetes/http.ts` pools connections with undici. Credentials are read again every minute and after
 * a 401, so that rotated tokens and certificates are used. Connections are replaced only when the certificates change.
 *
 * `@kubernetes/client-node` takes a second to load. Only the layers that read a kubeconfig load it.
 */
import type { KubeConfig } from "@kubernetes/client-node"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type Client, KubeConfigError } from "./internal/kubernetes/client.ts"
import { RotatingConnections } from "./internal/kubernetes/connections.ts"
import * as credentials from "./internal/kubernetes/credentials.ts"
import * as Http from "./internal/kubernetes/http.ts"
import * as Timers from "./internal/time/timers.ts"

export { KubeConfigError } from "./internal/kubernetes/client.ts"

/**
 * The service that sends requests to one API server.
 *
 * **Details**
 *
 * - `server`: the URL of the server.
 * - `namespace`: the namespace of the kubeconfig's context, or `default`.
 * - `request`: sends a request. Succeeds with the whole response, whatever its status.
 * - `watch`: sends a request whose response arrives line by line until the scope closes. If the status is not 200, it
 *   succeeds with the whole response, as `request` does.
 *
 * After a 401 the credentials are read again, and the request is sent once more. Both operations fail with
 * `TransportError` if there is no response within the limits, and with `KubeConfigError` if the credentials cannot be
 * read.
 */
export class KubernetesClient extends Context.Service<KubernetesClient, Client>()("kubelock/KubernetesClient") {}

/**
 * The kubeconfig to read, and the context to use.
 *
 * The default file is the one that `kubectl` uses: `KUBECONFIG`, `~/.kube/config`, or the service account of the pod.
 * The default context is the current one of the file.
 */
export interface KubeConfigOptions {
  readonly file?: string | undefined
  readonly context?: string | undefined
}

/** The client for a kubeconfig that is already loaded. */
export const layer = (kubeConfig: KubeConfig): Layer.Layer<KubernetesClient, KubeConfigError> =>
  Layer.effect(KubernetesClient, make(Effect.succeed(kubeConfig)))

/** The client for a kubeconfig from a file, by default the one that `kubectl` uses. */
export const layerKubeConfig = (options: KubeConfigOptions = {}): Layer.Layer<KubernetesClient, KubeConfigError> =>
  Layer.effect(KubernetesClient, make(load((kubeConfig) => loadFrom(kubeConfig, options))))

/** The client for a kubeconfig as YAML, such as that of `ApiServer` in `kubelock/testing`. */
export const layerKubeConfigYaml = (yaml: string): Layer.Layer<KubernetesClient, KubeConfigError> =>
  Layer.effect(KubernetesClient, make(load((kubeConfig) => kubeConfig.loadFromString(yaml))))

const attempt = <A>(evaluate: () => A | Promise<A>): Effect.Effect<A, KubeConfigError> =>
  Effect.tryPromise({
    try: async () => evaluate(),
    catch: (cause) =>
      new KubeConfigError({ detail: String(cause instanceof Error ? cause.message : cause).split("\n")[0]! })
  })

const load = (fill: (kubeConfig: KubeConfig) => void): Effect.Effect<KubeConfig, KubeConfigError> =>
  attempt(async () => {
    const kubeConfig = new (await import("@kubernetes/client-node")).KubeConfig()
    fill(kubeConfig)
    return kubeConfig
  })

const loadFrom = (kubeConfig: KubeConfig, options: KubeConfigOptions): void => {
  if (options.file === undefined) kubeConfig.loadFromDefault()
  else kubeConfig.loadFromFile(options.file)
  if (options.context !== undefined) kubeConfig.setCurrentContext(options.context)
}

const make = Effect.fnUntraced(function* (load: Effect.Effect<KubeConfig, KubeConfigError>) {
  let kubeConfig = yield* load
  const context = kubeConfig.getCurrentContext()
  const cluster = kubeConfig.getCurrentCluster()
  if (cluster === null) {
    return yield* new KubeConfigError({
      detail: `it has no cluster for the context ${JSON.stringify(context ?? "")}; choose another context`
    })
  }
  if (!URL.canParse(cluster.server) || (cluster.server.startsWith("http:") && !cluster.skipTLSVerify)) {
    return yield* new KubeConfigError({
      detail: `its server ${JSON.stringify(cluster.server)} is not an https URL (plain http needs insecure-skip-tls-verify); is this the right kubeconfig`
    })
  }
  const [currentCredentials, invalidate] = yield* Effect.cachedInvalidateWithTTL(
    attempt(() => credentials.read(kubeConfig)).pipe(
      Effect.timeoutOrElse({
        duration: "10 seconds",
        orElse: () => new KubeConfigError({ detail: "its credentials could not be read within 10 seconds" })
      })
    ),
    (exit) => (exit._tag === "Success" ? "1 minute" : 0)
  )
  // The kubeconfig may contain a certificate or cache the token of a plugin. After a 401 the whole kubeconfig is read
  // again.
  const reload = Effect.flatMap(load, (loaded) => {
    loaded.setCurrentContext(context)
    kubeConfig = loaded
    return invalidate
  })

  const { connection } = yield* currentCredentials
  const connections = yield* Effect.acquireRelease(
    attempt(() => RotatingConnections.make(connection)),
    (connections) => Effect.promise(() => connections.destroy())
  )
  const http = Http.make(connections, cluster.server, yield* Timers.make)

  const authHeaders = Effect.map(currentCredentials, ({ connection, headers }) => {
    connections.rotate(connection)
    return headers
  })
  const withCredentials = <A extends Http.ResponseHead, E, R>(
    send: (headers: Readonly<Record<string, string>>) => Effect.Effect<A, E, R>
  ) => {
    const once = Effect.flatMap(authHeaders, send)
    return Effect.flatMap(once, (response) =>
      response.status === 401 ? Effect.andThen(reload, once) : Effect.succeed(response)
    )
  }

  return KubernetesClient.of({
    server: cluster.server,
    namespace: kubeConfig.getContextObject(context)?.namespace ?? "default",
    request: (request, limits) => withCredentials((headers) => http.request(request, headers, limits)),
    watch: (request, limits) => withCredentials((headers) => http.watch(request, headers, limits))
  })
})
