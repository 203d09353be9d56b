/** CONTRIBUTING.md names what is there: files, folders, commands, and every suite that has a folder of its own; and getting-started names the runtimes. */
import { assert, describe, it } from "@effect/vitest"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { root } from "./utils/publicModules.ts"

const text = readFileSync(join(root, "CONTRIBUTING.md"), "utf8")
const matches = (pattern: RegExp): ReadonlyArray<string> => [...text.matchAll(pattern)].map(([, found]) => found!)

describe("CONTRIBUTING.md", () => {
  it("names files that exist", () => {
    const paths = matches(/\b((?:src|test|bench|tools|docs)\/[-\w./]*\w)/g)
    assert.isAbove(paths.length, 20)
    assert.deepStrictEqual(
      paths.filter((path) => !existsSync(join(root, path))),
      []
    )
  })

  it("names scripts that exist", () => {
    const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { scripts: object }
    const named = matches(/npm run ([\w:-]*\w)/g)
    assert.isAbove(named.length, 5)
    assert.deepStrictEqual(
      named.filter((name) => !(name in scripts)),
      []
    )
  })

  it("names every folder of tests", () => {
    const folders = readdirSync(join(root, "test"), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => `test/${name}`)
    assert.deepStrictEqual(
      folders.filter((folder) => !text.includes(folder)),
      []
    )
  })
})

describe("docs/getting-started.md", () => {
  it("names the runtimes that the suite runs on", () => {
    const page = readFileSync(join(root, "docs/getting-started.md"), "utf8")
    const { optionalDependencies } = JSON.parse(readFileSync(join(root, "test/runtimes/npm/package.json"), "utf8")) as {
      readonly optionalDependencies: Readonly<Record<string, string>>
    }
    for (const version of Object.values(optionalDependencies)) assert.include(page, version.replace("npm:node@", ""))
  })
})
