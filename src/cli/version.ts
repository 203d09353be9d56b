/** The flag `--version`. */
import * as Flag from "effect/cli/Flag"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { readFileSync } from "node:fs"

/** The version of the package. */
export const packageVersion = (): string => {
  const file = new URL("../../package.json", import.meta.url)
  const { version } = JSON.parse(readFileSync(file, "utf8")) as { readonly version: string }
  return version
}

/** Prints the version of the package. */
export const version = GlobalFlag.Action({
  flag: Flag.Boolean("version").pipe(Flag.withDescription("Show the version"), Flag.withDefault(false)),
  run: (_, { command }) => Effect.suspend(() => Console.log(`${command.name} ${packageVersion()}`))
})
