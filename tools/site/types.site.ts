/** The types of what only Vite compiles: the theme of the site, with the page to play with. */
import { assert, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { join } from "node:path"
import { site } from "./pages.ts"

it("the theme has no type errors", () => {
  const checker = join(site, "node_modules/vue-tsc/bin/vue-tsc.js")
  const { status, stdout } = spawnSync(process.execPath, [checker, "-p", "tsconfig.vue.json"], {
    cwd: site,
    encoding: "utf8"
  })
  assert.deepStrictEqual([status, stdout], [0, ""])
})
