/**
 * Connects to the API server of a kubeconfig. `KubernetesClient` loads this file with the first client, so that a program that
 * makes none does not load what only a client needs.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import * as Timers from "../time/timers.ts"
import { quiet } from "../tracing.ts"
import { type Client, type ClientDescription, descriptions } from "./client.ts"
import * as ClientNode from "./clientNode.ts"
import { loadUndici, RotatingConnections } from "./connections.ts"
import * as Credentials from "./credentials.ts"
import { Environment } from "./environment.ts"
import * as FindTarget from "./findTarget.ts"
import * as Http from "./http.ts"
import type { Target } from "./kubeConfig.ts"
import { KubeConfigError } from "./kubeConfigError.ts"
import * as Oidc from "./oidc.ts"
import * as ServerUrl from "./serverUrl.ts"

/** The client for a `KubeConfig` of client-node. `load` runs again after a 401. */
export const toClientNode = (load: Effect.Effect<ClientNode.ClientNodeKubeConfig, KubeConfigError>) =>
  make(() =>
    Effect.flatMap(load, (loaded) =>
      Effect.map(FindTarget.inDocument(ClientNode.documentOf(loaded)), (target) => ({
        target,
        authorization: ClientNode.authorizationOf(loaded, target)
      }))
    )
  )

/** The client for a kubeconfig file, by default the one that kubectl would use. */
export const toFiles = (options: { readonly file?: string | undefined; readonly context?: string | undefined }) =>
  makeWithOidc(
    (context) => FindTarget.inFiles({ ...options, context: options.context ?? context }),
    (context) => ({ file: options.file, context })
  )

/** The client for a kubeconfig that is given as YAML. */
export const toYaml = (yaml: string) =>
  makeWithOidc(
    () => FindTarget.inYaml(yaml),
    () => ({ yaml })
  )

const makeWithOidc = Effect.fnUntraced(function* (
  find: (context: string | undefined) => Effect.Effect<Target, KubeConfigError>,
  describe: (context: string | undefined) => ClientDescription
) {
  const { variables } = yield* Environment
  const authorization = Oidc.make({ variables, timers: yield* Timers.make })
  return yield* make(
    (context) => Effect.map(find(context), (target) => ({ target, authorization: authorization(target) })),
    describe
  )
})

interface Found {
  readonly target: Target
  readonly authorization: Effect.Effect<string, KubeConfigError>
}

/** How long credentials are used before they are read again, and how long a failure to read them is, in milliseconds. Our choice. */
export const credentialsValidFor = { read: 60_000, failed: 1000 }

// `find` looks for the target, the second time with the context that was found at first. `describe` is absent if another thread cannot
// make the same client.
const make = Effect.fnUntraced(function* (
  find: (context: string | undefined) => Effect.Effect<Found, KubeConfigError>,
  describe?: (context: string | undefined) => ClientDescription
) {
  const { variables } = yield* Environment
  // It loads while files are read and plugins run.
  const loading = loadUndici()
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
    Effect.promise(() => RotatingConnections.make(credentials.connection, loading)),
    (connections) => Effect.sync(() => connections.close())
  )
  const http = Http.make(connections, server, yield* Timers.make)

  const withCredentials = <A extends Http.ResponseHead, R>(
    request: Http.Request,
    send: (request: Http.Request, headers: Credentials.Headers) => Effect.Effect<A, Http.RequestError, R>
  ) => {
    const once = (request: Http.Request) =>
      Effect.flatMap(currentCredentials, ({ credentials }) => {
        connections.rotate(credentials.connection)
        return Effect.map(
          // The server may have got a new certificate authority, too.
          Effect.catchTag(send(request, credentials.headers), "UntrustedServer", Effect.succeed),
          (response) => ({ response, credentials })
        )
      })
    return Effect.flatMap(once(request), ({ credentials, response }) => {
      if (!isRefused(response)) return Effect.succeed(response)
      const again = once({ ...request, isResent: true })
      return Effect.flatMap(Effect.andThen(reload(credentials), again), ({ response }) =>
        "status" in response ? Effect.succeed(response) : Effect.fail(response)
      )
    })
  }

  const client: Client = {
    server: `${server.origin}${server.prefix}`,
    namespace,
    request: (request, limits) =>
      withCredentials(request, (request, headers) => http.request(request, headers, limits)),
    watch: (request, limits) => withCredentials(request, (request, headers) => http.watch(request, headers, limits))
  }
  if (describe !== undefined) descriptions.set(client, describe(context))
  return client
})

const isRefused = <A extends Http.ResponseHead>(response: A | Http.UntrustedServer): response is Http.UntrustedServer =>
  !("status" in response) || response.status === 401
