/** The public API changes only together with its report, so that a review sees it. */
import { assert, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { relative } from "node:path"
import { root } from "../utils/publicModules.ts"
import { make, reportFile } from "./report.ts"

it("the report of the public API is up to date", () => {
  assert.strictEqual(
    make(),
    readFileSync(reportFile, "utf8"),
    `The public API changed. Run \`npm run api\`, and commit ${relative(root, reportFile)} with a changeset.`
  )
})
