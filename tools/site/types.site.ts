/** The types of what only Vite compiles: the theme of the site, with the page to play with. */
import { assert, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { site, tool } from "./pages.ts"

it("the theme has no type errors", () => {
  const { status, stdout } = spawnSync(...tool("vue-tsc/bin/vue-tsc.js", "-p", "tsconfig.vue.json"), {
    cwd: site,
    encoding: "utf8"
  })
  assert.deepStrictEqual([status, stdout], [0, ""])
})
