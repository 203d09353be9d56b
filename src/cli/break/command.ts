/** `kubelock break`: its flags and its help. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { exitCodes } from "../exitCodes.ts"
import { toggle } from "../flags.ts"
import { anyResource, program } from "../target.ts"
import { verb } from "../verb.ts"

const flags = {
  name: Argument.String("name").pipe(Argument.withDescription("The lock: the name of the object that it is kept on")),
  holder: Flag.String("holder").pipe(
    Flag.withMetavar("ID"),
    Flag.withDescription(
      "From whom, if there are several holders: a holder ID, as `inspect` tells it; or from one that waits"
    ),
    Flag.optional
  ),
  yes: toggle("yes", "Do not ask").pipe(Flag.withAlias("y")),
  dryRun: toggle("dry-run", "Only show what would be broken"),
  resource: anyResource
}

/** What was asked for. */
export type Given = Command.Command.Config.Infer<typeof flags>

const description = `Takes a lock away from its holder, whatever kind of lock it is: an operator's last resort.

  It shows the holder, asks, and takes the lock from that holder and from nobody else. The next one that waits gets it. A kubelock that held it notices within a third of its TTL and stops. A Dex does not notice. From a holder under a session it is taken once that holder has noticed.

EXIT CODES
  0    it was broken, or nobody held it
  1    the answer was no
  ${exitCodes.usage}   the invocation makes no sense
  ${exitCodes.api}   the API server cannot be reached, or refuses
  ${exitCodes.notHad}   somebody else holds it by now, and nothing was broken`

/** The verb. */
export const command = verb("break", flags, () => import("./break.ts").then(({ run }) => run)).pipe(
  Command.withShortDescription("Takes a lock away from its holder"),
  Command.withDescription(description),
  Command.withExamples([
    { command: `${program} break deploy --dry-run`, description: "What would be broken" },
    { command: `${program} break deploy --yes`, description: "Without a question, in a script" }
  ])
)
