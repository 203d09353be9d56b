/** `kubelock inspect`: its flags and its help. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { exitCodes } from "../exitCodes.ts"
import { toggle } from "../flags.ts"
import { anyResource, program } from "../target.ts"
import { verb } from "../verb.ts"

/** The formats of the output. They are kubectl's. */
export const formats = ["table", "wide", "json", "yaml", "name"] as const

const flags = {
  name: Argument.String("name").pipe(
    Argument.withDescription("One lock: the name of the object that it is kept on"),
    Argument.optional
  ),
  allNamespaces: toggle("all-namespaces", "Show the locks of all namespaces").pipe(Flag.withAlias("A")),
  watch: toggle("watch", "Go on and show every change: in place on a terminal, otherwise line by line").pipe(
    Flag.withAlias("w")
  ),
  output: Flag.Literals("output", formats).pipe(
    Flag.withAlias("o"),
    Flag.withMetavar("FORMAT"),
    Flag.withDescription("The format (default table)"),
    Flag.withDefault("table")
  ),
  resource: anyResource
}

/** What was asked for. */
export type Given = Command.Command.Config.Infer<typeof flags>

const description = `Shows locks, semaphores, shared locks and elections: who holds them, until when, and who waits. It only reads.

EXIT CODES
  0    what there is was shown, even if there are no locks
  ${exitCodes.notThere}    there is no object of the name that was given; with --watch it is waited for
  ${exitCodes.usage}   the invocation makes no sense
  ${exitCodes.api}   the API server cannot be reached, or refuses`

/** The verb. */
export const command = verb("inspect", flags, () => import("./inspect.ts").then(({ run }) => run)).pipe(
  Command.withShortDescription("Shows locks, semaphores, shared locks and elections"),
  Command.withDescription(description),
  Command.withExamples([
    { command: `${program} inspect`, description: "All in the namespace" },
    { command: `${program} inspect deploy -o wide`, description: "One of them, and who waits for it" },
    { command: `${program} inspect -A -o json`, description: "All in the cluster, for a program" }
  ])
)
