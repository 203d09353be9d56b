/** Writes the report of the public API: `npm run api`. */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import { writeFileSync } from "node:fs"
import { run } from "../../tools/program.ts"
import { make, reportFile } from "./report.ts"

const command = Command.make("npm run api --", {}, () => Effect.sync(() => writeFileSync(reportFile, make()))).pipe(
  Command.withDescription("Writes the report of the public API, test/api/report.md. Review its difference.")
)

run(command, process.argv.slice(2))
