/**
 * `npm run test:cluster`: the suites on real API servers.
 *
 * Without flags they start their own from `KUBEBUILDER_ASSETS`. With `--kubeconfig` the lock's suites run on that cluster
 * instead, in a namespace of yours, and delete what they made.
 */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as ChildProcess from "effect/process/ChildProcess"
import { resolve } from "node:path"
import { flags, joined } from "../../tools/clusterFlags.ts"
import { run } from "../../tools/program.ts"

const command = Command.make("npm run test:cluster --", flags, ({ context, kubeconfig, namespace }) =>
  Effect.gen(function* () {
    const env = Option.match(kubeconfig, {
      onNone: () => ({}),
      onSome: (file) => ({
        KUBELOCK_TEST_KUBECONFIG: file,
        KUBELOCK_TEST_CONTEXT: Option.getOrElse(context, () => ""),
        KUBELOCK_TEST_NAMESPACE: Option.getOrElse(namespace, () => "")
      })
    })
    const suites = Option.isSome(kubeconfig) ? ["lock.cluster.test.ts"] : []
    const vitest = ChildProcess.make(
      process.execPath,
      [
        resolve(import.meta.dirname, "../../node_modules/vitest/vitest.mjs"),
        "run",
        "--config",
        resolve(import.meta.dirname, "vitest.config.ts"),
        ...suites
      ],
      { env, extendEnv: true, stdin: "inherit", stdout: "inherit", stderr: "inherit", detached: false }
    )
    const { exitCode } = yield* vitest
    process.exitCode = yield* exitCode
  }).pipe(Effect.scoped)
).pipe(
  Command.withDescription(
    "Runs the suites on real API servers: those in KUBEBUILDER_ASSETS or, with --kubeconfig, the lock's suite on that cluster."
  )
)

run(command, joined(process.argv.slice(2)))
