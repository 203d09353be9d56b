/**
 * The proof that a value is refreshed exactly once: `npm run refresh-proof`, or with flags
 * `npm run refresh-proof -- --rounds 5000`. See `--help`.
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as clusterFlags from "../../tools/clusterFlags.ts"
import { toggle, whole } from "../../tools/flags.ts"
import { run } from "../../tools/program.ts"
import { connection, duration } from "../harness/flags.ts"
import { LoadError } from "../../src/cli/bench/harness/loadError.ts"
import * as RefreshProof from "./refreshProof.ts"

const flags = {
  rounds: whole("rounds", [1, 1_000_000], "How many rotations (default 1000)").pipe(Flag.withDefault(1000)),
  threads: whole("threads", [0, 64], "Services in threads (default 4)").pipe(Flag.withDefault(4)),
  processes: whole("processes", [0, 64], "Services in processes of their own (default 0)").pipe(Flag.withDefault(0)),
  dex: toggle("dex", "Every second service refreshes as Dex does, on the same RefreshToken"),
  noLock: toggle("no-lock", "The same services without a lock: the provider revokes the grant"),
  upstream: duration(
    "upstream",
    [Duration.zero, Duration.seconds(60)],
    "How long the provider takes for a refresh, besides its own time (default 0)"
  ).pipe(Flag.withDefault(Duration.zero)),
  json: toggle("json", "Print the verdict as one JSON object, the last line of standard output"),
  ...clusterFlags.flags
}

const command = Command.make(
  "npm run refresh-proof --",
  flags,
  Effect.fnUntraced(function* ({ context, kubeconfig, namespace, noLock, ...rest }) {
    if (rest.threads + rest.processes === 0) {
      return yield* new LoadError({ message: "there must be a thread or a process" })
    }
    yield* RefreshProof.run({
      ...rest,
      lock: !noLock,
      kubeconfig: yield* connection({ kubeconfig, context }),
      namespace: Option.getOrUndefined(namespace)
    })
  })
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
    {
      command: "npm run refresh-proof -- --rounds 20 --upstream 2s",
      description: "With a provider that takes its time"
    },
    { command: "npm run refresh-proof -- --kubeconfig --namespace default", description: "On a cluster of yours" }
  ])
)

run(command, clusterFlags.joined(process.argv.slice(2)))
