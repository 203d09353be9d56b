/** Where a benchmark runs: an API server, a resource on it, and a namespace. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { type KubeConfigError, KubernetesClient } from "../../src/KubernetesClient.ts"
import type * as LockError from "../../src/LockError.ts"
import * as Resource from "../../src/Resource.ts"
import * as Api from "./api.ts"
import * as Connection from "./connection.ts"
import * as discovery from "./discovery.ts"
import { LoadError } from "./loadError.ts"
import * as Objects from "./objects.ts"
import * as Workers from "./workers.ts"

/** What the command line says. Without a `kubeconfig` an embedded server is started. */
export interface Options {
  readonly kubeconfig: Connection.Connection | undefined
  readonly namespace: string | undefined
  readonly resource: string
}

/** The target, and how workers reach it. */
export interface Target extends Objects.Place {
  readonly name: string
  readonly connection: Connection.Connection
}

/** Opens the target. It is closed with the scope. */
export const open = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<Target, LoadError | KubeConfigError | LockError.StoreError, Scope.Scope> {
  const connection = options.kubeconfig ?? { _tag: "Yaml", yaml: yield* startServer }
  const context = yield* Layer.build(Connection.layer(connection))
  const client = yield* Effect.provideContext(KubernetesClient, context)
  const api = yield* Effect.provideContext(Api.make, context)
  const namespace = yield* Effect.fromResult(
    Result.mapError(
      Resource.checkName(options.namespace ?? client.namespace),
      ({ id, problem }) => new LoadError({ message: `--namespace ${JSON.stringify(id)} is not a name: ${problem}` })
    )
  )
  const resource = yield* discovery.find(api, options.resource).pipe(
    Effect.tap((resource) => Objects.preflight({ api, resource, namespace })),
    Effect.catchTag(
      "LockUnavailable",
      ({ message }) =>
        new LoadError({
          message: `${message} Check that ${client.server} is an API server that can be reached from here.`
        })
    )
  )
  return { name: options.kubeconfig === undefined ? "embedded" : client.server, connection, api, resource, namespace }
})

/**
 * The embedded server runs in a thread of its own. In the main thread its answers would wait for the progress line. In the
 * thread of a contender it would be nearer to that contender than to the others.
 */
const startServer = Effect.flatMap(
  Workers.start<void, string>("the embedded server", () => Workers.thread(new URL("server.ts", import.meta.url))),
  (ask) => ask()
)
