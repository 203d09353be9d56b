/** `kubelock serve`: its flags and its help. */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { program } from "../target.ts"
import { verb } from "../verb.ts"

const flags = {
  write: Flag.String("write").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("The kubeconfig to write; it is removed at the end (default: kubelock.kubeconfig)"),
    Flag.withDefault("kubelock.kubeconfig")
  )
}

/** What was asked for. */
export type Given = Command.Command.Config.Infer<typeof flags>

const description = `Serves an API server for trials and tests, in this process, until a signal. It keeps objects in memory: ConfigMaps, Secrets, Leases, custom resources. Nothing needs to be installed.

  It writes a kubeconfig, with which kubectl and every verb of ${program} work on it.`

/** The verb. */
export const command = verb("serve", flags, () => import("./serve.ts").then(({ run }) => run)).pipe(
  Command.withShortDescription("Serves an API server for trials"),
  Command.withDescription(description),
  Command.withExamples([
    { command: `${program} serve`, description: "In one terminal" },
    { command: `KUBECONFIG=kubelock.kubeconfig ${program} run deploy -- make deploy`, description: "In another one" }
  ])
)
