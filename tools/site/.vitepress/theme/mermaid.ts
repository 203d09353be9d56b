/** Draws diagrams with mermaid, a script of its own that only pages with diagrams load. */

interface Mermaid {
  readonly initialize: (options: {
    readonly startOnLoad: boolean
    readonly theme: string
    readonly state: { readonly useMaxWidth: boolean }
    readonly sequence: { readonly useMaxWidth: boolean }
  }) => void
  readonly render: (id: string, code: string) => Promise<{ readonly svg: string }>
}

let loading: Promise<Mermaid> | undefined

/** Loads the script once. */
const load = (url: string): Promise<Mermaid> =>
  (loading ??= new Promise((resolve, reject) => {
    const script = Object.assign(document.createElement("script"), { src: url })
    script.addEventListener("load", () => resolve((globalThis as unknown as { readonly mermaid: Mermaid }).mermaid))
    script.addEventListener("error", () => reject(new Error(`cannot load ${url}`)))
    document.head.append(script)
  }))

/** The diagram as SVG. `url` is the script. */
export const draw = async (url: string, id: string, code: string, isDark: boolean): Promise<string> => {
  const mermaid = await load(url)
  mermaid.initialize({
    startOnLoad: false,
    theme: isDark ? "dark" : "default",
    state: { useMaxWidth: false },
    sequence: { useMaxWidth: false }
  })
  return (await mermaid.render(id, code)).svg
}
