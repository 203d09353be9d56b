/** The pages of the site, put together in `pages`: `docs`, the API reference, and what is on the site alone. */
import { execFile } from "node:child_process"
import { cpSync, mkdirSync, readdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"

/** The folder of the site. */
export const site = import.meta.dirname

/** Where the pages are put together. */
export const pages = join(site, "pages")

const docs = join(site, "../../docs")

/** Runs a program of the site's own packages in its folder. */
export const tool = (file: string, ...args: ReadonlyArray<string>): readonly [string, ReadonlyArray<string>] => [
  process.execPath,
  [join(site, "node_modules", file), ...args]
]

/** Copies the pages of `docs`. */
export const copy = (): void => {
  mkdirSync(pages, { recursive: true })
  cpSync(docs, pages, { recursive: true, filter: (source) => source !== join(docs, "README.md") })
  cpSync(join(docs, "README.md"), join(pages, "index.md"))
  cpSync(join(site, "play.md"), join(pages, "play.md"))
  // What pages link to, as it is.
  for (const entry of readdirSync(docs, { withFileTypes: true }))
    if (entry.isDirectory()) cpSync(join(docs, entry.name), join(pages, "public", entry.name), { recursive: true })
}

/** Puts all pages together anew. */
export const make = async (): Promise<void> => {
  rmSync(pages, { recursive: true, force: true })
  copy()
  cpSync(join(site, "node_modules/@mermaid-js/tiny/dist/mermaid.tiny.js"), join(pages, "public/mermaid.js"))
  const [node, args] = tool("typedoc/bin/typedoc", "--options", "typedoc.json")
  await promisify(execFile)(node, args, { cwd: site })
}
