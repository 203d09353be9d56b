/** Where the test runs: an API server, a resource on it, and a namespace. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { Worker } from "node:worker_threads"
import * as exchanges from "../src/internal/kubernetes/apiClient.ts"
import { type KubeConfigError, KubernetesClient } from "../src/KubernetesClient.ts"
import type * as LockError from "../src/LockError.ts"
import * as Resource from "../src/Resource.ts"
import * as Connection from "./connection.ts"
import * as discovery from "./discovery.ts"
import { LoadError } from "./loadError.ts"
import * as Objects from "./objects.ts"

/** What the command line says of it. Without a `kubeconfig` an embedded server is started. */
export interface Options {
  readonly kubeconfig: Connection.Connection | undefined
  readonly namespace: string | undefined
  readonly resource: string
}

/** The target, and how threads reach it. */
export interface Target extends Objects.Place {
  readonly name: string
  readonly connection: Connection.Connection
}

/** Opens the target: it is closed with the scope. */
export const open = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<Target, LoadError | KubeConfigError | LockError.StoreError, Scope.Scope> {
  const connection = options.kubeconfig ?? (yield* startServer)
  const context = yield* Layer.build(Connection.layer(connection))
  const client = yield* Effect.provideContext(KubernetesClient, context)
  const exchange = exchanges.make(client, { requestTimeout: Duration.seconds(5), clock: "server" })
  const namespace = yield* Effect.fromResult(
    Result.mapError(
      Resource.checkName(options.namespace ?? client.namespace),
      ({ id, problem }) => new LoadError({ message: `--namespace ${JSON.stringify(id)} is not a name: ${problem}` })
    )
  )
  const resource = yield* discovery.find(exchange, options.resource).pipe(
    Effect.tap((resource) => Objects.preflight({ exchange, resource, namespace })),
    Effect.catchTag(
      "LockUnavailable",
      ({ message }) =>
        new LoadError({
          message: `${message} Check that ${client.server} is an API server that can be reached from here.`
        })
    )
  )
  return {
    name: options.kubeconfig === undefined ? "embedded" : client.server,
    connection,
    exchange,
    resource,
    namespace
  }
})

/**
 * The embedded server, in a thread of its own: in the main thread its answers would wait for the progress line, in a
 * contender's thread one contender would be nearer to it than the others.
 */
const startServer = Effect.acquireRelease(
  Effect.sync(() => new Worker(new URL("server.ts", import.meta.url))),
  (worker) => Effect.promise(() => worker.terminate())
).pipe(
  Effect.flatMap((worker) =>
    Effect.callback<string, LoadError>((resume) => {
      worker.once("message", (yaml: string) => resume(Effect.succeed(yaml)))
      worker.once("error", (cause) =>
        resume(Effect.fail(new LoadError({ message: `the embedded server did not start: ${cause.message}` })))
      )
    })
  ),
  Effect.map((yaml): Connection.Connection => ({ _tag: "Yaml", yaml }))
)
