/**
 * The connection to an API server: its address, the credentials, and one set of pooled connections.
 *
 * Kubeconfigs are read as `kubectl` reads them (`docs/kubeconfig.md`). Credentials are read again every minute and after a
 * 401, so that rotated tokens and certificates are used. Connections are replaced only if the certificates change.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Semaphore from "effect/Semaphore"
import type { Client } from "./internal/kubernetes/client.ts"
import { KubeConfigError } from "./internal/kubernetes/kubeConfigError.ts"
import * as ClientNode from "./internal/kubernetes/clientNode.ts"
import { RotatingConnections } from "./internal/kubernetes/connections.ts"
import * as Credentials from "./internal/kubernetes/credentials.ts"
import { Environment } from "./internal/kubernetes/environment.ts"
import * as FindTarget from "./internal/kubernetes/findTarget.ts"
import * as Http from "./internal/kubernetes/http.ts"
import * as Oidc from "./internal/kubernetes/oidc.ts"
import type { Target } from "./internal/kubernetes/kubeConfig.ts"
import * as ServerUrl from "./internal/kubernetes/serverUrl.ts"
import * as Timers from "./internal/time/timers.ts"
import { quiet } from "./internal/tracing.ts"

export { KubeConfigError } from "./internal/kubernetes/kubeConfigError.ts"

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
 * After a 401, or if the certificate of the server does not verify, the credentials are read again, and the request is sent
 * once more. Both operations fail with `TransportError` if there is no response within the limits, with `UntrustedServer` if
 * the certificate does not verify then either, and with `KubeConfigError` if the credentials cannot be read.
 */
export class KubernetesClient extends Context.Service<KubernetesClient, Client>()("kubelock/KubernetesClient") {}

/**
 * The kubeconfig to read, and the context to use.
 *
 * By default these are the files that `kubectl` uses: those that `KUBECONFIG` names, or `~/.kube/config`, or else the
 * service account of the pod. The default context is the current one.
 */
export interface KubeConfigOptions {
  readonly file?: string | undefined
  readonly context?: string | undefined
}

/**
 * A `KubeConfig` of `@kubernetes/client-node`.
 *
 * Only what it exports is used, in the way of this module; and what it makes of an `auth-provider`.
 */
export interface ClientNodeKubeConfig extends ClientNode.ClientNodeKubeConfig {}

/**
 * The client for a `KubeConfig` of `@kubernetes/client-node`, or for an effect that loads one.
 *
 * The effect runs again after a 401. An object is looked at again then: its token files, certificate files and plugins are
 * read anew, but what it once loaded from a kubeconfig stays as it is.
 */
export const layer = (
  kubeConfig: ClientNodeKubeConfig | Effect.Effect<ClientNodeKubeConfig, KubeConfigError>
): Layer.Layer<KubernetesClient, KubeConfigError> => {
  const load = Effect.isEffect(kubeConfig) ? kubeConfig : Effect.succeed(kubeConfig)
  return Layer.effect(
    KubernetesClient,
    make(() =>
      Effect.flatMap(load, (loaded) =>
        Effect.map(FindTarget.inDocument(ClientNode.documentOf(loaded)), (target) => ({
          target,
          authorization: ClientNode.authorizationOf(loaded, target)
        }))
      )
    )
  )
}

/** The client for a kubeconfig from a file, by default as `kubectl` finds it. */
export const layerKubeConfig = (options: KubeConfigOptions = {}): Layer.Layer<KubernetesClient, KubeConfigError> =>
  Layer.effect(
    KubernetesClient,
    makeWithOidc((context) => FindTarget.inFiles({ ...options, context: options.context ?? context }))
  )

/** The client for a kubeconfig as YAML, such as that of `ApiServer` in `kubelock/testing`. */
export const layerKubeConfigYaml = (yaml: string): Layer.Layer<KubernetesClient, KubeConfigError> =>
  Layer.effect(
    KubernetesClient,
    makeWithOidc(() => FindTarget.inYaml(yaml))
  )

const makeWithOidc = Effect.fnUntraced(function* (
  find: (context: string | undefined) => Effect.Effect<Target, KubeConfigError>
) {
  const { variables } = yield* Environment
  const authorization = Oidc.make({ variables, timers: yield* Timers.make })
  return yield* make((context) =>
    Effect.map(find(context), (target) => ({ target, authorization: authorization(target) }))
  )
})

interface Found {
  readonly target: Target
  readonly authorization: Effect.Effect<string, KubeConfigError>
}

/** How long credentials are used before they are read again, and how long a failure to read them is, in milliseconds. Our choice. */
export const credentialsValidFor = { read: 60_000, failed: 1000 }

// `find` looks for the target, the second time with the context that was found at first.
const make = Effect.fnUntraced(function* (
  find: (context: string | undefined) => Effect.Effect<Found, KubeConfigError>
) {
  const { variables } = yield* Environment
  const found = yield* find(undefined)
  const { cluster, context, namespace = "default" } = found.target
  const server = yield* Effect.fromResult(ServerUrl.parse(cluster.server!))
  const credentialsOf = ({ authorization, target }: Found) =>
    Credentials.make({ target, server, variables, authorization })

  let source = credentialsOf(found)
  // What was read last, until the server does not accept it. It stands in while reading fails.
  let last: Credentials.Credentials | undefined
  const read = Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    const credentials = yield* Effect.catch(source, (error) =>
      last === undefined || (last.expiresAt ?? Infinity) <= now
        ? Effect.fail(error)
        : Effect.as(quiet(Effect.logWarning(`${error.message} The credentials that were read before are used.`)), last)
    )
    last = credentials
    return { credentials, validFor: Math.min(credentialsValidFor.read, (credentials.expiresAt ?? Infinity) - now) }
  })
  const [currentCredentials, invalidate] = yield* Effect.cachedInvalidateWithTTL(read, (exit) =>
    Duration.millis(exit._tag === "Success" ? exit.value.validFor : credentialsValidFor.failed)
  )
  // The kubeconfig may contain a token or a certificate. After a 401 all of it is read again, once for all requests that were
  // refused together.
  const reloading = yield* Semaphore.make(1)
  const reload = Effect.fnUntraced(function* (refused: Credentials.Credentials) {
    if (last !== refused) return
    const again = yield* find(context)
    if (again.target.cluster.server !== cluster.server) {
      return yield* new KubeConfigError({
        detail: `its server is now ${JSON.stringify(again.target.cluster.server)}; start this process anew to use it`
      })
    }
    source = credentialsOf(again)
    last = undefined
    yield* invalidate
  }, reloading.withPermits(1))

  const { credentials } = yield* currentCredentials
  const connections = yield* Effect.acquireRelease(
    Effect.promise(() => RotatingConnections.make(credentials.connection)),
    (connections) => Effect.promise(() => connections.destroy())
  )
  const http = Http.make(connections, server, yield* Timers.make)

  const withCredentials = <A extends Http.ResponseHead, R>(
    send: (headers: Credentials.Headers) => Effect.Effect<A, Http.RequestError, R>
  ) => {
    const once = Effect.flatMap(currentCredentials, ({ credentials }) => {
      connections.rotate(credentials.connection)
      return Effect.map(
        // The server may have got a new certificate authority, too.
        Effect.catchTag(send(credentials.headers), "UntrustedServer", Effect.succeed),
        (response) => ({ response, credentials })
      )
    })
    return Effect.flatMap(once, ({ credentials, response }) => {
      if (!isRefused(response)) return Effect.succeed(response)
      return Effect.flatMap(Effect.andThen(reload(credentials), once), ({ response }) =>
        "status" in response ? Effect.succeed(response) : Effect.fail(response)
      )
    })
  }

  return KubernetesClient.of({
    server: `${server.origin}${server.prefix}`,
    namespace,
    request: (request, limits) => withCredentials((headers) => http.request(request, headers, limits)),
    watch: (request, limits) => withCredentials((headers) => http.watch(request, headers, limits))
  })
})

const isRefused = <A extends Http.ResponseHead>(response: A | Http.UntrustedServer): response is Http.UntrustedServer =>
  !("status" in response) || response.status === 401
