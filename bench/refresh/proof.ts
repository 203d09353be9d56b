/**
 * The proof that a value is refreshed exactly once: `npm run refresh-proof`, or with flags
 * `npm run refresh-proof -- --rounds 5000`. See `--help`.
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Option from "effect/Option"
import * as bench from "../flags.ts"
import { LoadError } from "../loadError.ts"
import { inOneLine, run } from "../program.ts"
import * as RefreshProof from "./refreshProof.ts"

const flags = {
  rounds: bench.whole("rounds", [1, 1_000_000], "How many rotations (default 1000)").pipe(Flag.withDefault(1000)),
  threads: bench.whole("threads", [0, 64], "Services in threads (default 4)").pipe(Flag.withDefault(4)),
  processes: bench
    .whole("processes", [0, 64], "Services in processes of their own (default 0)")
    .pipe(Flag.withDefault(0)),
  dex: Flag.Boolean("dex").pipe(
    Flag.withDefault(false),
    Flag.withDescription("Every second service refreshes as Dex does, on the same RefreshToken")
  ),
  noLock: Flag.Boolean("no-lock").pipe(
    Flag.withDefault(false),
    Flag.withDescription("The same services without a lock: the provider revokes the grant")
  ),
  json: Flag.Boolean("json").pipe(
    Flag.withDefault(false),
    Flag.withDescription("Print the verdict as one JSON object, the last line of standard output")
  ),
  kubeconfig: bench.flags.kubeconfig,
  context: bench.flags.context,
  namespace: bench.flags.namespace
}

const command = Command.make("npm run refresh-proof --", flags, ({ context, kubeconfig, namespace, noLock, ...rest }) =>
  inOneLine(
    rest.threads + rest.processes === 0
      ? new LoadError({ message: "there must be a thread or a process" })
      : Option.isSome(context) && Option.isNone(kubeconfig)
        ? new LoadError({ message: "--context needs --kubeconfig: without it an embedded server is used" })
        : RefreshProof.run({
            ...rest,
            lock: !noLock,
            kubeconfig: Option.getOrUndefined(
              Option.map(kubeconfig, (file) => ({
                _tag: "KubeConfig",
                file: file === "" ? undefined : file,
                context: Option.getOrUndefined(context)
              }))
            ),
            namespace: Option.getOrUndefined(namespace)
          })
  )
).pipe(
  Command.withDescription(
    "Services in threads and processes share one rotating refresh token of an OpenID provider; the provider's own log shows that each rotation was one refresh."
  ),
  Command.withExamples([
    {
      command: "npm run refresh-proof",
      description: "32 callers in 4 threads, 1000 rotations, an embedded API server"
    },
    { command: "npm run refresh-proof -- --no-lock", description: "Without the lock: revoked at once" },
    { command: "npm run refresh-proof -- --dex --processes 2", description: "Beside Dex, and in processes" },
    { command: "npm run refresh-proof -- --kubeconfig --namespace default", description: "On a cluster of yours" }
  ])
)

run(command, bench.joined(process.argv.slice(2)))
