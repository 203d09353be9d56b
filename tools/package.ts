/**
 * How the package is built.
 *
 * The declarations are one file for each module. The code is few files, because a program that starts waits for each file that it
 * loads: one file for all that an import of kubelock loads at once, one for each part that is loaded when it is first needed, and one
 * for the tests of services. Each public module is an entry to them.
 *
 * The command line is a program of its own that brings all that it needs: one file for all that `kubelock run` loads, since each file costs
 * it a millisecond, one for each part that is loaded when it is first needed, and one for the threads of a load test. They are CommonJS: an
 * `import()` of an ES module needs a file for that module, even if its code is in one that is loaded already.
 */
import { execFileSync } from "node:child_process"
import { chmodSync, globSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { basename, join, relative } from "node:path"
import { type GetModuleInfo, rolldown } from "rolldown"

const root = join(import.meta.dirname, "..")
const source = join(root, "src")

// What an import of kubelock does not load at once, although an entry of its own does.
const apart = ["testing", "KubernetesRunnerStorage.ts", "SessionThread.ts", "internal/runners", "internal/session"].map(
  (name) => join(source, name)
)

// The files that threads run are entries of their own.
const threads = [join("internal", "sessionThread", "worker.ts")]

const entries = [...readdirSync(source).filter((name) => name.endsWith(".ts")), join("testing", "index.ts"), ...threads]

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
      groups: [{ name: "kubelock", tags: ["$initial"], test: (id) => !apart.some((name) => id.startsWith(name)) }]
    }
  })
  await buildProgram(join(folder, "cli"))
}

// The file that a shell starts says where compiled code is, and loads all others.
const start = "cli/kubelock.ts"

// The same code as ES modules, of which a bundle takes only what it uses.
const yaml = "node_modules/yaml/browser/dist/index.js"

// What `kubelock run` loads in any case.
const run = [
  "src/cli/main.ts",
  "src/cli/run/run.ts",
  "src/internal/kubernetes/connect.ts",
  "src/internal/kubernetes/store.ts",
  "tools/undici/index.js",
  yaml
]

const programEntries = [start, "cli/bench/contest/contender.ts"]

/** Builds the command line into a folder. `package.json` is expected two folders above. */
export const buildProgram = async (folder: string): Promise<void> => {
  const bundle = await rolldown({
    input: Object.fromEntries(programEntries.map((name) => [basename(name, ".ts"), join(source, name)])),
    platform: "node",
    resolve: {
      alias: {
        "undici/index.js": join(root, "tools/undici/index.js"),
        yaml: join(root, yaml),
        // Vega-Lite needs of Vega only what Vega passes on: without this, the program would be half a megabyte larger.
        vega: "vega-util"
      }
    },
    transform: {
      // Then undici leaves out a second parser of HTTP, an experiment. The bundle that is in Node.js does the same.
      define: { "import.meta.env": "undefined", esbuildDetection: "true" },
      inject: { "Intl.Segmenter": [join(root, "tools/lazySegmenter.js"), "LazySegmenter"] }
    },
    plugins: [assets, lighter],
    // What is loaded later may be in a file that is loaded at once.
    checks: { ineffectiveDynamicImport: false }
  })
  let ofRun: ReadonlySet<string> | undefined
  const { output } = await bundle.write({
    dir: folder,
    format: "cjs",
    // A character that is not in Latin-1 would double the memory that a file takes.
    charset: "ascii",
    minify: true,
    chunkFileNames: "[name].js",
    codeSplitting: {
      groups: [
        {
          debugName: "program",
          name: (id, graph) => {
            ofRun ??= reachable(run, (id) => graph.getModuleInfo(id))
            return ofRun.has(id) ? "program" : undefined
          }
        }
      ]
    }
  })
  chmodSync(join(folder, "kubelock.js"), 0o755)
  writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "commonjs" }))
  const modules = output.flatMap((file) => (file.type === "chunk" ? file.moduleIds : []))
  // What the assets contain.
  modules.push(join(root, "node_modules/vega/build/vega.min.js"))
  writeFileSync(join(folder, "licenses.txt"), licensesOf(modules))
}

/** The modules that files import, and those that these import, except for what is loaded later. */
const reachable = (files: ReadonlyArray<string>, getModuleInfo: GetModuleInfo): ReadonlySet<string> => {
  const found = new Set<string>()
  const visit = (id: string): void => {
    if (found.has(id)) return
    found.add(id)
    getModuleInfo(id)?.importedIds.forEach(visit)
  }
  for (const file of files) visit(join(root, file))
  return found
}

/** Puts something that takes less time to load in the place of what undici loads at once. */
const lighter = {
  name: "lighter",
  resolveId: {
    filter: { id: /^(?:node:assert|node:http|\.\/client-h2\.js)$/ },
    handler: (id: string, importer?: string) =>
      importer?.includes("/node_modules/undici/") === true
        ? join(root, "tools/undici", `${basename(id, ".js").replace("node:", "")}.cjs`)
        : undefined
  }
}

/** Puts the values of a module into the bundle instead of the module, which reads them from files. */
const assets = {
  name: "assets",
  load: {
    filter: { id: /cli\/bench\/page\/assets\.ts$/ },
    handler: async (file: string) => {
      const values = (await import(file)) as Readonly<Record<string, string>>
      return Object.entries(values)
        .map(([name, value]) => `export const ${name} = ${JSON.stringify(value)}`)
        .join("\n")
    }
  }
}

/** The licenses of the packages that modules belong to. */
const licensesOf = (modules: ReadonlyArray<string>): string => {
  const packages = modules.flatMap((id) => /.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id)?.[0] ?? [])
  return [...new Set(packages)]
    .toSorted()
    .map((folder) => {
      const { name, version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Readonly<
        Record<"name" | "version", string>
      >
      const texts = globSync("{LICENSE,LICENCE,license}*", { cwd: folder }).map((file) =>
        readFileSync(join(folder, file), "utf8")
      )
      return `${name} ${version}\n\n${texts.join("\n")}`
    })
    .join(`\n${"-".repeat(80)}\n\n`)
}
