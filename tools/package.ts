/**
 * How the package is built.
 *
 * The declarations are one file for each module. The code is few files, because a program that starts waits for each file that it
 * loads: one file for all that an import of kubelock loads at once, one for each part that is loaded when it is first needed, and one
 * for the tests of services. Each public module is an entry to them.
 */
import { execFileSync } from "node:child_process"
import { readdirSync, rmSync } from "node:fs"
import { join, relative } from "node:path"
import { rolldown } from "rolldown"

const root = join(import.meta.dirname, "..")
const source = join(root, "src")

const entries = [...readdirSync(source).filter((name) => name.endsWith(".ts")), join("testing", "index.ts")]

/** Builds the package into a folder, which is emptied first. */
export const build = async (folder: string): Promise<void> => {
  rmSync(folder, { recursive: true, force: true })
  const compiler = join(root, "node_modules/typescript/bin/tsc")
  const options = ["-p", "tsconfig.build.json", "--outDir", folder]
  execFileSync(process.execPath, [compiler, ...options], { cwd: root, stdio: "inherit" })
  const bundle = await rolldown({
    input: Object.fromEntries(entries.map((name) => [name.slice(0, -".ts".length), join(source, name)])),
    external: (id) => !id.startsWith(".") && !id.startsWith("/"),
    platform: "node"
  })
  await bundle.write({
    dir: folder,
    sourcemap: true,
    sourcemapExcludeSources: true,
    chunkFileNames: ({ facadeModuleId, name }) =>
      facadeModuleId == null ? `internal/${name}.js` : relative(source, facadeModuleId).replace(/\.ts$/, ".js"),
    codeSplitting: {
      groups: [{ name: "kubelock", tags: ["$initial"], test: (id) => !id.startsWith(join(source, "testing")) }]
    }
  })
}
