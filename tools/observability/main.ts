/** Writes the dashboard: `npm run dashboard`. */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { run } from "../program.ts"
import { json } from "./dashboard.ts"

const file = join(import.meta.dirname, "../../docs/observability/dashboard.json")

const command = Command.make("npm run dashboard --", {}, () => Effect.sync(() => writeFileSync(file, json()))).pipe(
  Command.withDescription("Writes the dashboard for Grafana, docs/observability/dashboard.json.")
)

run(command, process.argv.slice(2))
