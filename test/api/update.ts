/** Writes the report of the public API: `npm run api`. */
import { writeFileSync } from "node:fs"
import { make, reportFile } from "./report.ts"

writeFileSync(reportFile, make())
