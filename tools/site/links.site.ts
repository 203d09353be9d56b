/** The site as it is built: every link leads to a page or a file of it, and every anchor to a heading. */
import { assert, it } from "@effect/vitest"
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs"
import { join } from "node:path"
import { site } from "./pages.ts"

const dist = join(site, "dist")

interface Page {
  readonly path: string
  readonly ids: ReadonlySet<string>
  readonly links: ReadonlyArray<string>
}

const all = (html: string, pattern: RegExp): ReadonlyArray<string> =>
  [...html.matchAll(pattern)].map(([, found]) => found!.replaceAll("&amp;", "&"))

const pagesOf = (): ReadonlyMap<string, Page> =>
  new Map(
    readdirSync(dist, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".html"))
      .map((name) => {
        const html = readFileSync(join(dist, name), "utf8")
        const path = `/${name}`
        return [
          path,
          { path, ids: new Set(all(html, /\sid="([^"]+)"/g)), links: all(html, /\s(?:href|src)="([^"]+)"/g) }
        ]
      })
  )

const fileOf = (path: string): string => (path.endsWith("/") ? `${path}index.html` : path)

it("every link leads somewhere, and every anchor is there", () => {
  const pages = pagesOf()
  assert.isAbove(pages.size, 40)
  const broken = [...pages.values()].flatMap(({ links, path }) =>
    links.flatMap((link) => {
      const url = new URL(link, `http://site${path}`)
      if (url.host !== "site") return []
      const file = fileOf(decodeURIComponent(url.pathname))
      const target = pages.get(file) ?? pages.get(`${file}.html`)
      if (target === undefined)
        return existsSync(join(dist, file)) && statSync(join(dist, file)).isFile() ? [] : [`${path}: ${link}`]
      const anchor = decodeURIComponent(url.hash.slice(1))
      return anchor === "" || target.ids.has(anchor) ? [] : [`${path}: ${link}`]
    })
  )
  assert.deepStrictEqual([...new Set(broken)], [])
})

it("the API reference says what each module is for", () => {
  for (const index of ["api/index.html", "api/testing/index.html"]) {
    const cells = all(readFileSync(join(dist, index), "utf8"), /<td[^>]*>([^]*?)<\/td>/g)
    assert.isAbove(cells.length, 5)
    assert.notInclude(cells, "-")
  }
  assert.include(readFileSync(join(dist, "api/Lock.html"), "utf8"), "The lock is not reentrant")
})

it("the search index has every page", () => {
  const index = readdirSync(join(dist, "assets/chunks")).find((name) => name.startsWith("@localSearchIndex"))
  assert.isDefined(index)
  const text = readFileSync(join(dist, "assets/chunks", index!), "utf8")
  for (const page of readdirSync(join(site, "../../docs")).filter(
    (name) => name.endsWith(".md") && name !== "README.md"
  ))
    assert.include(text, `/${page.replace(".md", "")}`)
})
