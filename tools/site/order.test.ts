/** The pages as a whole: each has its place, each link in them leads somewhere, and each error of the API has a section. */
import { assert, it } from "@effect/vitest"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { root } from "../../test/utils/publicModules.ts"
import * as order from "./order.ts"

const docs = join(root, "docs")
const files = readdirSync(docs).filter((name) => name.endsWith(".md"))
const read = (file: string) => readFileSync(join(docs, file), "utf8")

it("docs/README.md, which is the order of the site, names every page of docs", () => {
  const sections = order.parse(read("README.md"))
  assert.isAbove(sections.length, 5)
  assert.deepStrictEqual(order.missing(sections, files), [])
})

it("relative links lead to files", () => {
  const broken = files.flatMap((file) =>
    [...read(file).matchAll(/\]\(([^)\s#]+)[^)\s]*\)/g)]
      .map(([, target]) => target!)
      .filter((target) => !/^https?:/.test(target) && !existsSync(join(dirname(join(docs, file)), target)))
      .map((target) => `${file}: ${target}`)
  )
  assert.deepStrictEqual(broken, [])
})

it("docs/troubleshooting.md has a section for each error of the public API, and for no other", () => {
  const report = readFileSync(join(root, "test/api/report.md"), "utf8")
  const tags = [...report.matchAll(/_tag: Schema\.tag<"(\w+)">/g)].map(([, tag]) => tag!)
  assert.include(tags, "LockTimeout")
  const sections = [...read("troubleshooting.md").matchAll(/^## (\w+)$/gm)].map(([, title]) => title!)
  assert.deepStrictEqual(sections.toSorted(), [...new Set(tags)].toSorted())
})
