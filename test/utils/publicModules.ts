/** The public modules of the package, as `exports` in package.json opens them. */
import { readdirSync } from "node:fs"
import { basename, join } from "node:path"

/** The repository's root. */
export const root = join(import.meta.dirname, "../..")

const flat = readdirSync(join(root, "src"))
  .filter((name) => name.endsWith(".ts") && name !== "index.ts")
  .map((name) => basename(name, ".ts"))

/** The file of each public module, under `src` and without an extension, by the specifier that imports it. */
export const publicModules: Readonly<Record<string, string>> = {
  kubelock: "index",
  ...Object.fromEntries(flat.map((name) => [`kubelock/${name}`, name])),
  "kubelock/testing": "testing/index"
}
