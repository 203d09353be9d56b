/**
 * The way to an API server: its address, who we are there, and one set of pooled connections.
 *
 * Addresses and credentials come from a kubeconfig as `@kubernetes/client-node` reads it; requests do not go through that
 * library, which opens a new connection for each (`internal/kubernetes/http.ts` keeps them, with undici). Credentials are asked
 * for again every minute and after a 401, so that rotated tokens and certificates are taken up; connections are made anew
 * only when the certificates changed.
 *
 * `@kubernetes/client-node` takes a second to load, so it is loaded only by the layers that read a kubeconfig.
 */
import type { KubeConfig } from "@kubernetes/client-node"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as alarms from "./internal/time/timers.ts"
import * as credentials from "./internal/kubernetes/credentials.ts"
import { RotatingConnections } from "./internal/kubernetes/connections.ts"
import * as transport from "./internal/kubernetes/http.ts"

/** The kubeconfig cannot be read, or does not say which cluster to talk to and as whom. */
export class KubeConfigError extends Schema.Error<KubeConfigError>("kubelock/KubernetesClient/KubeConfigError")({
  _tag: Schema.tag("KubeConfigError"),
  detail: Schema.String
}) {
  override get message(): string {
    return `Cannot use the kubeconfig: ${this.detail}.`
  }
}

/**
 * Service tag of the client.
 *
 * **Details**
 *
 * - `namespace`: the one that the kubeconfig's context names, else `default`.
 * - `ask`: sends a request, and answers whatever the server answers once it is there: any status is a success.
 * - `watch`: the same for an answer that goes on, line by line, until the scope closes. Where its status is not 200 it is
 *   an answer like any other.
 *
 * After a 401 the credentials are read again and the request is sent once more.
 */
export class KubernetesClient extends Context.Service<
  KubernetesClient,
  {
    readonly server: string
    readonly namespace: string
    readonly ask: (
      request: transport.Request,
      bounds: transport.Bounds
    ) => Effect.Effect<transport.Response, transport.TransportError | KubeConfigError>
    readonly watch: (
      request: transport.Request,
      bounds: transport.Bounds
    ) => Effect.Effect<
      transport.Response | transport.LineStream,
      transport.TransportError | KubeConfigError,
      Scope.Scope
    >
  }
>()("kubelock/KubernetesClient") {}

/** Where a kubeconfig is read from. By default as `kubectl` does: `KUBECONFIG`, `~/.kube/config`, else in-cluster. */
export interface KubeConfigOptions {
  readonly file?: string | undefined
  readonly context?: string | undefined
}

/** The client for a kubeconfig that is loaded already. */
export const layer = (kubeConfig: KubeConfig): Layer.Layer<KubernetesClient, KubeConfigError> =>
  Layer.effect(KubernetesClient, make(Effect.succeed(kubeConfig)))

/** The client for a kubeconfig from a file, or from wherever `kubectl` would find it. */
export const layerKubeConfig = (options: KubeConfigOptions = {}): Layer.Layer<KubernetesClient, KubeConfigError> =>
  Layer.effect(KubernetesClient, make(load((kubeConfig) => loadFrom(kubeConfig, options))))

/** The client for a kubeconfig given as YAML, such as the one of `kubelock/testing`'s `ApiServer`. */
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
      detail: `its server ${JSON.stringify(cluster.server)} is not an https URL (plain http needs insecure-skip-tls-verify); is the right kubeconfig found`
    })
  }
  const [current, forget] = yield* Effect.cachedInvalidateWithTTL(
    attempt(() => credentials.read(kubeConfig)).pipe(
      Effect.timeoutOrElse({
        duration: "10 seconds",
        orElse: () => new KubeConfigError({ detail: "its credentials could not be read within 10 seconds" })
      })
    ),
    (exit) => (exit._tag === "Success" ? "1 minute" : 0)
  )
  // A plugin's token may be cached in the kubeconfig, and a certificate written in it: after a 401 all is read again.
  const renew = Effect.flatMap(load, (loaded) => {
    loaded.setCurrentContext(context)
    kubeConfig = loaded
    return forget
  })

  const { connection } = yield* current
  const pools = yield* Effect.acquireRelease(
    attempt(() => new RotatingConnections(connection)),
    (pools) => Effect.promise(() => pools.destroy())
  )
  const connections = transport.make(pools, cluster.server, yield* alarms.make)

  const authorized = Effect.map(current, ({ connection, headers }) => {
    pools.rotate(connection)
    return headers
  })
  const withCredentials = <A extends transport.ResponseHead, E, R>(
    send: (headers: Readonly<Record<string, string>>) => Effect.Effect<A, E, R>
  ) => {
    const once = Effect.flatMap(authorized, send)
    return Effect.flatMap(once, (answer) =>
      answer.status === 401 ? Effect.andThen(renew, once) : Effect.succeed(answer)
    )
  }

  return KubernetesClient.of({
    server: cluster.server,
    namespace: kubeConfig.getContextObject(context)?.namespace ?? "default",
    ask: (request, bounds) => withCredentials((headers) => connections.ask(request, headers, bounds)),
    watch: (request, bounds) => withCredentials((headers) => connections.watch(request, headers, bounds))
  })
})
