/** Where a benchmark runs: an API server, a resource on it, and a namespace. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Connection from "../../src/cli/bench/harness/connection.ts"
import { LoadError } from "../../src/cli/bench/harness/loadError.ts"
import * as Workers from "../../src/cli/bench/harness/workers.ts"
import * as Target from "../../src/cli/bench/load/target.ts"
import type { KubeConfigError } from "../../src/KubernetesClient.ts"
import type * as LockError from "../../src/LockError.ts"
import * as discovery from "./discovery.ts"

/** What the command line says. Without a `kubeconfig` an embedded server is started. */
export interface Options {
  readonly kubeconfig: Connection.Connection | undefined
  readonly namespace: string | undefined
  readonly resource: string
}

/** Opens the target. It is closed with the scope. */
export const open = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<Target.Target, LoadError | KubeConfigError | LockError.StoreError, Scope.Scope> {
  const server =
    options.kubeconfig === undefined
      ? { connection: { _tag: "Yaml" as const, yaml: yield* startServer }, name: "embedded" }
      : { connection: options.kubeconfig }
  return yield* Target.open({
    ...server,
    namespace: Option.fromUndefinedOr(options.namespace),
    resource: (api) => discovery.find(api, options.resource)
  }).pipe(
    Effect.catchTags({
      LockInvalidName: ({ id, problem }) =>
        new LoadError({ message: `--namespace ${JSON.stringify(id)} is not a name: ${problem}` }),
      LockUnavailable: ({ message }) =>
        new LoadError({ message: `${message} Check that it is an API server that can be reached from here.` })
    })
  )
})

/**
 * The embedded server runs in a thread of its own. In the main thread its answers would wait for the progress line. In the
 * thread of a contender it would be nearer to that contender than to the others.
 */
const startServer = Effect.flatMap(
  Workers.start<void, string>("the embedded server", () => Workers.thread(new URL("server.ts", import.meta.url))),
  (ask) => ask()
)
