import { slug } from "github-slugger"
import { readFileSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { defineConfig } from "vitepress"
import { parse } from "../order.ts"

const pages = join(import.meta.dirname, "../pages")

const docs = parse(readFileSync(join(pages, "index.md"), "utf8")).map(({ pages, title }) => ({
  text: title,
  items: pages.map(({ target, title }) => ({ text: title, link: `/${target.replace(".md", "")}` }))
}))

// The API reference has one page for each module.
const api = readdirSync(join(pages, "api"))
  .filter((file) => file.endsWith(".md") && file !== "index.md")
  .map((file) => file.replace(".md", ""))
  .concat("testing")
  .map((module) => ({ text: module, link: `/api/${module === "testing" ? "testing/" : module}` }))

const icon =
  "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24'><text y='20' font-size='20'>🔒</text></svg>"

export default defineConfig({
  title: "kubelock",
  description: "A distributed lock for Effect services on Kubernetes",
  srcDir: "pages",
  outDir: "dist",
  cacheDir: "node_modules/.cache/vitepress",
  lastUpdated: false,
  head: [["link", { rel: "icon", href: icon }]],
  markdown: {
    // Anchors are those of GitHub, where the same pages are read.
    anchor: { slugify: slug },
    config: (md) => {
      const fence = md.renderer.rules.fence!
      md.renderer.rules.fence = (tokens, index, ...rest) => {
        const { content, info } = tokens[index]!
        return info.trim() === "mermaid"
          ? `<Diagram code="${encodeURIComponent(content)}" />`
          : fence(tokens, index, ...rest)
      }
    }
  },
  themeConfig: {
    search: { provider: "local" },
    outline: [2, 3],
    nav: [
      { text: "Docs", link: "/getting-started" },
      { text: "Play", link: "/play" },
      { text: "API", link: "/api/" }
    ],
    sidebar: {
      "/": [
        ...docs,
        { text: "Play", items: [{ text: "Play the protocol", link: "/play" }] },
        { text: "Reference", items: [{ text: "API", link: "/api/" }] }
      ],
      "/api/": [{ text: "API", link: "/api/", items: api }]
    }
  }
})
