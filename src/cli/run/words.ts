/** Where the command is among the arguments of this program. Pure. */

/** How many words follow `--`; nothing without it. */
export const afterDashes = (args: ReadonlyArray<string>): number | undefined => {
  const dashes = args.indexOf("--")
  return dashes < 0 ? undefined : args.length - dashes - 1
}

/** Whether there is something else among the words of a command: a flag, which was taken for one of this program. */
export const isScattered = (command: ReadonlyArray<string>, args: ReadonlyArray<string>): boolean =>
  command.some((word, index) => word !== args.at(index - command.length))

/** What is wrong with such a command. */
export const scattered = "put -- before the command, so that its flags are its own"
