/** The package as others get it: packed, installed into a fresh project, and imported there. */
import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const root = join(import.meta.dirname, "..")
const run = (cwd: string, file: string, ...args: ReadonlyArray<string>) =>
  execFileSync(file, args, {
    cwd,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, NODE_ENV: "" }
  })

describe("the package", () => {
  it("can be packed, installed and imported", { timeout: 120_000 }, () => {
    const project = mkdtempSync(join(tmpdir(), "kubelock-package-"))
    try {
      run(root, "npm", "pack", "--silent", "--pack-destination", project)
      const tarball = readdirSync(project).find((name) => name.endsWith(".tgz"))!
      const installed = join(project, "node_modules", "kubelock")
      mkdirSync(installed, { recursive: true })
      run(project, "tar", "-xzf", tarball, "--strip-components=1", "-C", installed)
      const { dependencies, peerDependencies } = JSON.parse(readFileSync(join(installed, "package.json"), "utf8")) as {
        readonly dependencies: Record<string, string>
        readonly peerDependencies: Record<string, string>
      }
      // What npm would fetch, from what is installed here already: this must also run where no registry is in reach.
      for (const name of Object.keys({ ...dependencies, ...peerDependencies })) {
        const link = join(project, "node_modules", name)
        mkdirSync(join(link, ".."), { recursive: true })
        symlinkSync(join(root, "node_modules", name), link)
      }
      writeFileSync(join(project, "package.json"), JSON.stringify({ type: "module" }))
      writeFileSync(
        join(project, "index.ts"),
        [
          `import { Effect } from "effect"`,
          `import { Lock, Resource } from "kubelock"`,
          `import * as DeepLock from "kubelock/Lock"`,
          `import { ApiServer } from "kubelock/testing"`,
          `const program = DeepLock.withLock("a")(Effect.succeed(Resource.name(Resource.refreshToken)))`,
          `console.log(await Effect.runPromise(program.pipe(Effect.provide(Lock.layerMemory()))), typeof ApiServer.layer)`
        ].join("\n")
      )
      assert.strictEqual(run(project, process.execPath, "index.ts").trim(), "refreshtokens.dex.coreos.com function")
      writeFileSync(
        join(project, "tsconfig.json"),
        JSON.stringify({
          compilerOptions: {
            module: "NodeNext",
            target: "ES2023",
            lib: ["ES2024"],
            strict: true,
            noEmit: true,
            types: ["node"],
            typeRoots: [join(root, "node_modules/@types")],
            skipLibCheck: true
          },
          files: ["index.ts"]
        })
      )
      run(project, join(root, "node_modules/.bin/tsc"), "-p", project)
      const closed = run(
        project,
        process.execPath,
        "-e",
        `import("kubelock/internal/rfc3339").catch((e) => console.log(e.code))`
      )
      assert.strictEqual(closed.trim(), "ERR_PACKAGE_PATH_NOT_EXPORTED")
    } finally {
      rmSync(project, { recursive: true, force: true })
    }
  })

  it("loads little: @kubernetes/client-node only where a kubeconfig is read, and for the lock alone no HTTP", () => {
    const loadedBy = (specifier: string): string =>
      run(
        root,
        process.execPath,
        "--conditions=kubelock-source",
        "--input-type=module",
        "-e",
        `import { registerHooks } from "node:module"
         registerHooks({ load: (url, context, next) => (console.log(url), next(url, context)) })
         await import("${specifier}")`
      )
    assert.include(loadedBy("kubelock/KubernetesClient"), "platform-node")
    assert.notInclude(loadedBy("kubelock"), "client-node")
    assert.notInclude(loadedBy("kubelock/Lock"), "platform-node")
  })
})
