/**
 * The way to an API server: its address, who we are there, and one set of pooled connections.
 *
 * Addresses and credentials come from a kubeconfig as `@kubernetes/client-node` reads it; requests do not go through that
 * library, which opens a new connection for each (`effect/http` over undici does). Credentials are asked for again
 * every minute and after a 401, so that rotated tokens and certificates are taken up; connections are made anew only
 * when the certificates changed.
 *
 * `@kubernetes/client-node` takes a second to load, so it is loaded only by the layers that read a kubeconfig.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import type { KubeConfig } from "@kubernetes/client-node"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as credentials from "./internal/credentials.ts"
import { RotatingDispatcher } from "./internal/dispatcher.ts"

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
 * - `execute`: sends a request whose URL is a path, and answers whatever the server answers: any status is a success.
 *   After a 401 the credentials are read again and the request is sent once more.
 */
export class KubernetesClient extends Context.Service<
  KubernetesClient,
  {
    readonly server: string
    readonly namespace: string
    readonly execute: (
      request: HttpClientRequest.HttpClientRequest
    ) => Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError | KubeConfigError>
  }
>()("kubelock/KubernetesClient") {}

/** Where a kubeconfig is read from. By default as `kubectl` does: `KUBECONFIG`, `~/.kube/config`, else in-cluster. */
export interface KubeConfigOptions {
  readonly file?: string | undefined
  readonly context?: string | undefined
}

/** The client for a kubeconfig that is loaded already. */
export const layer = (kubeConfig: KubeConfig): Layer.Layer<KubernetesClient, KubeConfigError> =>
  Layer.effect(KubernetesClient, make(kubeConfig))

/** The client for a kubeconfig from a file, or from wherever `kubectl` would find it. */
export const layerKubeConfig = (options: KubeConfigOptions = {}): Layer.Layer<KubernetesClient, KubeConfigError> =>
  Layer.effect(
    KubernetesClient,
    Effect.flatMap(
      load((kubeConfig) => loadFrom(kubeConfig, options)),
      make
    )
  )

/** The client for a kubeconfig given as YAML, such as the one of `kubelock/testing`'s `ApiServer`. */
export const layerKubeConfigYaml = (yaml: string): Layer.Layer<KubernetesClient, KubeConfigError> =>
  Layer.effect(
    KubernetesClient,
    Effect.flatMap(
      load((kubeConfig) => kubeConfig.loadFromString(yaml)),
      make
    )
  )

const load = (fill: (kubeConfig: KubeConfig) => void): Effect.Effect<KubeConfig, KubeConfigError> =>
  Effect.tryPromise({
    try: async () => {
      const kubeConfig = new (await import("@kubernetes/client-node")).KubeConfig()
      fill(kubeConfig)
      return kubeConfig
    },
    catch: (cause) => new KubeConfigError({ detail: firstLine(cause) })
  })

const loadFrom = (kubeConfig: KubeConfig, options: KubeConfigOptions): void => {
  if (options.file === undefined) kubeConfig.loadFromDefault()
  else kubeConfig.loadFromFile(options.file)
  if (options.context !== undefined) kubeConfig.setCurrentContext(options.context)
}

const firstLine = (cause: unknown): string => String(cause instanceof Error ? cause.message : cause).split("\n")[0]!

const make = Effect.fnUntraced(function* (kubeConfig: KubeConfig) {
  const cluster = kubeConfig.getCurrentCluster()
  if (cluster === null) {
    return yield* new KubeConfigError({
      detail: `there is no context or cluster for ${JSON.stringify(kubeConfig.getCurrentContext() ?? "")}; name one with its context`
    })
  }
  const [readCredentials, forget] = yield* Effect.cachedInvalidateWithTTL(
    Effect.tryPromise({
      try: () => credentials.read(kubeConfig),
      catch: (cause) => new KubeConfigError({ detail: firstLine(cause) })
    }),
    "1 minute"
  )
  const { connection } = yield* readCredentials
  const pool = yield* Effect.acquireRelease(
    Effect.try({
      try: () => new RotatingDispatcher(connection),
      catch: (cause) => new KubeConfigError({ detail: firstLine(cause) })
    }),
    (pool) => Effect.promise(() => pool.destroy())
  )
  const client = yield* NodeHttpClient.makeUndici.pipe(Effect.provideService(NodeHttpClient.Dispatcher, pool))

  const send = Effect.fnUntraced(function* (request: HttpClientRequest.HttpClientRequest) {
    const current = yield* readCredentials
    pool.rotate(current.connection)
    return yield* client.execute(
      request.pipe(HttpClientRequest.prependUrl(cluster.server), HttpClientRequest.setHeaders(current.headers))
    )
  })
  return KubernetesClient.of({
    server: cluster.server,
    namespace: kubeConfig.getContextObject(kubeConfig.getCurrentContext())?.namespace ?? "default",
    execute: (request) =>
      Effect.flatMap(send(request), (response) =>
        response.status === 401
          ? response.text.pipe(Effect.ignore, Effect.andThen(forget), Effect.andThen(send(request)))
          : Effect.succeed(response)
      )
  })
})
