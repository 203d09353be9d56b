/** `kubelock doctor`: its flags and its help. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { exitCodes } from "../exitCodes.ts"
import { program, resource } from "../target.ts"
import { verb } from "../verb.ts"

const flags = {
  name: Argument.String("name").pipe(
    Argument.withDescription("A lock: ask about the rights on its object, for Roles that name objects"),
    Argument.optional
  ),
  output: Flag.Literals("output", ["text", "json"]).pipe(
    Flag.withAlias("o"),
    Flag.withMetavar("FORMAT"),
    Flag.withDescription("The format (default text)"),
    Flag.withDefault("text")
  ),
  resource
}

/** What was asked for. */
export type Given = Command.Command.Config.Infer<typeof flags>

const description = `Finds out whether locks work on a cluster, and how well: connection, rights, clocks, latency, watches, and what changes annotations on their way.

  It makes an object of its own for a moment, if it may delete it again, and writes to no other.

EXIT CODES
  0    locks work
  1    something is in their way
  ${exitCodes.usage}   the invocation makes no sense`

/** The verb. */
export const command = verb("doctor", flags, () => import("./doctor.ts").then(({ run }) => run)).pipe(
  Command.withShortDescription("Finds out whether locks work on a cluster"),
  Command.withDescription(description),
  Command.withExamples([
    { command: `${program} doctor`, description: "On the cluster and in the namespace of the kubeconfig" },
    { command: `${program} doctor deploy`, description: "With a Role that names the objects of locks" },
    { command: `${program} doctor -o json`, description: "For a program" }
  ])
)
