/**
 * Runs a real API server until Ctrl-C: `node test/cluster/serve.ts [kube-apiserver | apiextensions-apiserver]`.
 *
 * When it is ready it prints one line of JSON with the path of its kubeconfig.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Envtest from "../../src/testing/envtest/Envtest.ts"

Effect.gen(function* () {
  const server = process.argv[2] === "apiextensions-apiserver" ? "apiextensions-apiserver" : "kube-apiserver"
  const api = yield* Envtest.start({ server })
  const { directory, kubeConfigPath, url, version } = api
  yield* Console.log(JSON.stringify({ server, version, url, kubeConfigPath, directory, pids: yield* api.pids }))
  return yield* Effect.never
}).pipe(
  Effect.scoped,
  Effect.tapError(({ message }) => Console.error(`error: ${message}`)),
  NodeRuntime.runMain({ disableErrorReporting: true })
)
