/** The order of the site is that of `docs/README.md`: each heading there is a section, each link in a list a page. */

export interface Page {
  readonly title: string
  /** A file of `docs`, perhaps with an anchor: `leader-election.md#beside-client-go`. */
  readonly target: string
}

export interface Section {
  readonly title: string
  readonly pages: ReadonlyArray<Page>
}

/** Reads the order from the text of `docs/README.md`. */
export const parse = (text: string): ReadonlyArray<Section> =>
  text
    .split(/^## /m)
    .slice(1)
    .map((section) => ({
      title: section.slice(0, section.indexOf("\n")).trim(),
      pages: [...section.matchAll(/^- \[([^\]]+)\]\(([^)]+)\)/gm)].map(([, title, target]) => ({
        title: title!,
        target: target!
      }))
    }))
    .filter(({ pages }) => pages.length > 0)

/** The pages of `docs` that the order does not name. */
export const missing = (sections: ReadonlyArray<Section>, files: ReadonlyArray<string>): ReadonlyArray<string> => {
  const named = new Set(sections.flatMap(({ pages }) => pages.map(({ target }) => target.split("#")[0])))
  return files.filter((file) => file !== "README.md" && !named.has(file))
}
