/** The texts that a page is made of. The build of the package replaces this module by their values (`tools/package.ts`). */
import { readFileSync } from "node:fs"

const read = (url: URL): string => readFileSync(url, "utf8")

const vega = import.meta.resolve("vega")

/** The style of the page. */
export const style = read(new URL("page.css", import.meta.url))

/** The script of the page. */
export const script = read(new URL("browser.js", import.meta.url))

/** The plotting library. */
export const plotting = read(new URL("vega.min.js", vega))

/** Its license. */
export const plottingLicense = read(new URL("../LICENSE", vega))
