/** The command line: its verbs, and what it does with its arguments. */
import * as Command from "effect/cli/Command"
import { command as bench } from "./bench/command.ts"
import { command as breaking } from "./break/command.ts"
import { command as doctor } from "./doctor/command.ts"
import { acquire, release, renew } from "./fixed/command.ts"
import { command as inspect } from "./inspect/command.ts"
import * as program from "./program.ts"
import { command as run } from "./run/command.ts"
import { command as serve } from "./serve/command.ts"
import { root } from "./target.ts"

const command = root.pipe(
  Command.withDescription(
    "Takes, shows, breaks and measures distributed locks that are kept on objects of Kubernetes."
  ),
  Command.withSubcommands([run, inspect, breaking, doctor, acquire, renew, release, bench, serve])
)

/** Runs the command line with these arguments. */
export const main = (args: ReadonlyArray<string>): void => program.run(command, args)
