/** The flag `--completions`. */
import * as Completions from "effect/cli/Completions"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as commandCompletions from "./commandCompletions.ts"

/** Prints completions for a shell. */
export const completions = GlobalFlag.Action({
  flag: GlobalFlag.Completions.flag,
  run: (shell, { command }) =>
    Option.match(shell, {
      onNone: () => Effect.void,
      onSome: (shell) => {
        // `kubectl kubelock` is no program: completions for it would take the place of kubectl's own.
        const name = command.name.replace(" ", "-")
        const script = Completions.generate(name, shell, { ...withPaths(Completions.fromCommand(command)), name })
        return Console.log(commandCompletions.addTo(script, shell, name))
      }
    })
})

/** The flags that name files. */
const files: ReadonlySet<string> = new Set(["kubeconfig", "report", "write"])

const path = { _tag: "Path", pathType: "either" } as const

// Without `--` a command that runs under a lock, and what it is given, are files. Nobody needs `--no-nonblock`.
const withPaths = ({
  arguments: args,
  flags,
  ...others
}: Completions.CommandDescriptor): Completions.CommandDescriptor => ({
  ...others,
  flags: flags.map((flag) => ({ ...flag, negation: false, ...(files.has(flag.name) ? { type: path } : {}) })),
  arguments: args.map((one) => (one.name === "command" ? { ...one, type: path } : one)),
  subcommands: others.subcommands.map(withPaths)
})
