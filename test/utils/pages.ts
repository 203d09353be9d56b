/** The pages that people read: the README and the docs. */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { root } from "./publicModules.ts"

/** Each page, by its file in the repository. */
export const pages: ReadonlyArray<{ readonly name: string; readonly text: string }> = [
  "README.md",
  ...readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .map((name) => join("docs", name))
].map((name) => ({ name, text: readFileSync(join(root, name), "utf8") }))
