/** Runs a real API server until Ctrl-C: `node test/cluster/serve.ts kube-apiserver`. See `--help`. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Envtest from "../../src/testing/envtest/Envtest.ts"
import { run } from "../../tools/program.ts"

const serve = Effect.fnUntraced(function* (server: Envtest.Server) {
  const api = yield* Envtest.start({ server })
  const { directory, kubeConfigPath, url, version } = api
  yield* Console.log(JSON.stringify({ server, version, url, kubeConfigPath, directory, pids: yield* api.pids }))
  return yield* Effect.never
})

const command = Command.make(
  "npx node test/cluster/serve.ts",
  {
    server: Argument.Literals("server", ["kube-apiserver", "apiextensions-apiserver"]).pipe(
      Argument.withDefault("kube-apiserver" as const),
      Argument.withDescription("Which server of KUBEBUILDER_ASSETS (default kube-apiserver)")
    )
  },
  ({ server }) =>
    Effect.scoped(serve(server)).pipe(
      Effect.tapErrorTag("EnvtestError", ({ log }) => (log === undefined ? Effect.void : Console.error(log)))
    )
).pipe(
  Command.withDescription("Runs a real API server until Ctrl-C. When it is ready, it prints one line of JSON."),
  Command.withExamples([{ command: "npx node test/cluster/serve.ts apiextensions-apiserver" }])
)

run(command, process.argv.slice(2))
