/** The command line of the load tester. */
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as loadFlags from "../../src/cli/bench/flags.ts"
import * as Settings from "../../src/cli/bench/load/settings.ts"
import * as clusterFlags from "../../tools/clusterFlags.ts"
import { toggle, whole } from "../../tools/flags.ts"
import { connection, type Values } from "../harness/flags.ts"

/** The flags. */
export const flags = {
  ...loadFlags.flags,
  threads: whole("threads", [1, 64], "Threads, each with its own connections (default 4)").pipe(Flag.withDefault(4)),
  fibers: whole("fibers", [1, 1024], "Contending fibers in each thread (default 8)").pipe(Flag.withDefault(8)),
  json: toggle("json", "Print the figures as one JSON object, the last line of standard output"),
  ...clusterFlags.flags,
  resource: Flag.String("resource").pipe(
    Flag.withDefault("refreshtokens"),
    Flag.withMetavar("KIND"),
    Flag.withDescription(
      "What is locked: refreshtokens, configmaps, secrets, or any PLURAL.VERSION.GROUP (default refreshtokens)"
    )
  )
}

/** The values of the flags. */
export type Given = Values<typeof flags>

/** What the flags mean: the settings, and where the test runs. */
export const toSettings = Effect.fnUntraced(function* (given: Given) {
  const { context, fibers, json, kubeconfig, namespace, resource, threads } = given
  return {
    settings: yield* Settings.make(given, { threads, fibers, json, thresholds: [] }),
    target: {
      kubeconfig: yield* connection({ kubeconfig, context }),
      namespace: Option.getOrUndefined(namespace),
      resource
    }
  }
})

/** Examples for the help. */
export const examples = [
  { command: "npm start", description: "32 fibers in 4 threads contend for one RefreshToken of an embedded server" },
  { command: "npm start -- --compare --hold 5ms", description: "kubelock and Dex in turns" },
  { command: "npm start -- --compare --report load.html", description: "The same, and a page with charts" },
  {
    command: "npm start -- --kind semaphore --limit 4 --hold 20ms",
    description: "They share the permits of a semaphore"
  },
  { command: "npm start -- --kind shared --writers 10% --hold 20ms", description: "Readers and writers" },
  {
    command: "npm start -- --kubeconfig --context staging --namespace dex --duration 1m",
    description: "On a cluster; what is made there is deleted at the end"
  },
  { command: "npm start -- --resource leases.v1.coordination.k8s.io --kubeconfig", description: "On Leases" }
]
