/** Builds the package: `npm run build`. */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import { join } from "node:path"
import { build } from "./package.ts"
import { run } from "./program.ts"

const command = Command.make("npm run build --", {}, () =>
  Effect.promise(() => build(join(import.meta.dirname, "../dist")))
).pipe(Command.withDescription("Builds the package into dist."))

run(command, process.argv.slice(2))
