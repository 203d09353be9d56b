/** Pages and comments name an error by its tag: by what `Effect.catchTag` takes. */
import { assert, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import * as LockError from "../src/LockError.ts"
import * as RefreshError from "../src/RefreshError.ts"
import { root } from "./utils/publicModules.ts"

const names = [...LockError.LockError.members, ...RefreshError.RefreshError.members].map((error) =>
  error.identifier.slice(error.identifier.lastIndexOf("/") + 1)
)

const filesIn = (folder: string, suffix: string) =>
  readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(suffix))
    .map((name) => join(folder, name))

it("pages and comments speak of errors by their tags", () => {
  assert.include(names, "Timeout")
  assert.include(names, "NotWritten")
  const found = ["README.md", ...filesIn("docs", ".md"), ...filesIn("src", ".ts")].flatMap((file) =>
    readFileSync(join(root, file), "utf8")
      .split("\n")
      .flatMap((line, index) =>
        names
          .filter((name) => new RegExp(`(?:with|After|after|only) \`${name}\``).test(line))
          .map((name) => `${file}:${index + 1}: \`${name}\``)
      )
  )
  assert.deepStrictEqual(found, [])
})
