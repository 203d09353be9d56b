/** The package as users get it: packed, unpacked into a fresh project, and used there. No registry is contacted. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import * as Effect from "effect/Effect"
import { publint } from "publint"
import { formatMessage } from "publint/utils"
import { rolldown } from "rolldown"
import { ApiServer } from "../src/testing/index.ts"
import { install, type Project, run } from "./utils/installedPackage.ts"
import { publicModules, root } from "./utils/publicModules.ts"

let project: Project
const node = (cwd: string, ...args: ReadonlyArray<string>) => run(cwd, {}, process.execPath, ...args)
const bin = (name: string) => join(root, "node_modules", name)

const write = (name: string, text: string) => project.write(name, text)

beforeAll(async () => {
  project = await install()
  write(
    "run.ts",
    `import { Effect } from "effect"
     import { Lock, Resource } from "kubelock"
     import * as DeepLock from "kubelock/Lock"
     import { ApiServer } from "kubelock/testing"
     const program = DeepLock.withLock("a")(Effect.succeed(Resource.name(Resource.refreshToken)))
     console.log(await Effect.runPromise(program.pipe(Effect.provide(Lock.layerMemory()))), typeof ApiServer.layer)`
  )
  const specifiers = Object.keys(publicModules)
  write("all.ts", specifiers.map((specifier, index) => `export * as m${index} from "${specifier}"`).join("\n"))
}, 300_000)

afterAll(() => project.remove())

describe.concurrent("the package", () => {
  it("runs from its tarball", async () => {
    assert.strictEqual(await node(project.folder, "run.ts"), "refreshtokens.dex.coreos.com function")
  })

  it("has the file of the thread that renews sessions", () =>
    Effect.runPromise(
      Effect.gen(function* () {
        const { kubeConfig } = yield* ApiServer.ApiServer
        write("thread.kubeconfig", kubeConfig)
        write(
          "thread.ts",
          `import { Effect, Layer } from "effect"
           import { Lock, LockPolicy, ObjectStoreKubernetes, Resource } from "kubelock"
           import * as SessionThread from "kubelock/SessionThread"
           const LockLive = Lock.layer({ policy: LockPolicy.make({ session: true }) }).pipe(
             Layer.provide(SessionThread.layer({ maxStall: "2 minutes" })),
             Layer.provide(ObjectStoreKubernetes.layerKubeConfig({ resource: Resource.configMap }))
           )
           const blocked = Lock.withLock("report")(Effect.sync(() => console.log("computing")))
           await Effect.runPromise(blocked.pipe(Effect.provide(LockLive)))`
        )
        const env = { KUBECONFIG: join(project.folder, "thread.kubeconfig") }
        const ran = run(project.folder, env, process.execPath, "thread.ts")
        assert.strictEqual(yield* Effect.promise(() => ran), "computing")
      }).pipe(Effect.provide(ApiServer.layer()))
    ))

  it("exports its public modules and its package.json, and nothing internal", async () => {
    const specifiers = Object.keys(publicModules)
    const code = `for (const one of ${JSON.stringify(specifiers)}) await import(one)`
    await node(project.folder, "--input-type=module", "-e", code)
    const version = `console.log(require("kubelock/package.json").version)`
    assert.strictEqual(
      await node(project.folder, "--input-type=commonjs", "-e", version),
      (JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { readonly version: string }).version
    )
    const closed = ["kubelock/internal/time/rfc3339", "kubelock/testing/ApiServer", "kubelock/index"]
    const tries = closed.map((one) => `await import("${one}").catch((error) => console.log(error.code))`).join(";")
    assert.strictEqual(
      await node(project.folder, "--input-type=module", "-e", tries),
      closed.map(() => "ERR_PACKAGE_PATH_NOT_EXPORTED").join("\n")
    )
  })

  // Checks all declarations, also those of imported packages. Effect's own need the types of the DOM.
  for (const compiler of ["typescript", "typescript-5.9"]) {
    it(`type-checks without skipLibCheck, by ${compiler}`, async () => {
      write(
        `tsconfig.${compiler}.json`,
        JSON.stringify({
          compilerOptions: {
            module: "NodeNext",
            target: "ES2022",
            lib: ["ES2024", "DOM"],
            strict: true,
            exactOptionalPropertyTypes: true,
            noEmit: true,
            types: ["node"],
            typeRoots: [join(root, "node_modules/@types")],
            skipLibCheck: false,
            skipDefaultLibCheck: true
          },
          files: ["run.ts", "all.ts"]
        })
      )
      await node(project.folder, bin(`${compiler}/bin/tsc`), "-p", `tsconfig.${compiler}.json`)
    })
  }

  it("passes publint", async () => {
    const data = readFileSync(project.tarball)
    const { messages, pkg } = await publint({ pack: { tarball: new Uint8Array(data).buffer }, level: "suggestion" })
    assert.deepStrictEqual(
      messages.map((message) => formatMessage(message, pkg, { color: false })),
      []
    )
  })

  it("has types that resolve as its modules do (attw)", async () => {
    const entries = Object.keys(publicModules).map((specifier) => specifier.replace(/^kubelock\/?/, "") || ".")
    await node(
      project.folder,
      bin("@arethetypeswrong/cli/dist/index.js"),
      project.tarball,
      "--profile=esm-only",
      "--no-definitely-typed",
      "--format=ascii",
      "--entrypoints",
      ...entries
    )
  })

  it("has a README without relative links, which do not work on npm, and contains all pages that it names", () => {
    const readme = readFileSync(join(project.installed, "README.md"), "utf8")
    const links = linksOf(readme)
    assert.deepStrictEqual(
      links.filter((link) => !link.startsWith("https:")),
      []
    )
    const pages = [...readme.matchAll(/`(docs\/[^`]*)`/g)].map(([, page]) => page!)
    assert.isAbove(pages.length, 5)
    for (const page of pages) assert.isTrue(existsSync(join(project.installed, page)), page)
  })

  it("has pages whose relative links lead to files of the package", () => {
    for (const page of readdirSync(join(project.installed, "docs"), { recursive: true, encoding: "utf8" })) {
      if (!page.endsWith(".md")) continue
      const file = join(project.installed, "docs", page)
      for (const link of linksOf(readFileSync(file, "utf8"))) {
        const [path] = link.split("#")
        if (path === "" || link.startsWith("https:")) continue
        assert.isTrue(existsSync(join(dirname(file), path!)), `${page} links to ${link}`)
      }
    }
  })
})

const linksOf = (markdown: string): ReadonlyArray<string> =>
  [...markdown.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target!)

/** What an import loads, as the package and the size of each file. */
const loadedBy = async (...specifiers: ReadonlyArray<string>): Promise<ReadonlyArray<Loaded>> => {
  const output = await node(
    project.folder,
    "--input-type=module",
    "-e",
    `import { registerHooks } from "node:module"
     registerHooks({ load: (url, context, next) => (console.log(url), next(url, context)) })
     for (const one of ${JSON.stringify(specifiers)}) await import(one)`
  )
  return output
    .split("\n")
    .filter((url) => url.startsWith("file:"))
    .map((url) => {
      const path = fileURLToPath(url)
      const [, name] = /.*\/node_modules\/((?:@[^/]*\/)?[^/]*)\//.exec(path)!
      return { name: name!, path, bytes: statSync(path).size }
    })
}

interface Loaded {
  readonly name: string
  readonly path: string
  readonly bytes: number
}

/** The modules that were built into a file. */
const sourcesOf = (path: string): ReadonlyArray<string> =>
  existsSync(`${path}.map`)
    ? (JSON.parse(readFileSync(`${path}.map`, "utf8")) as { readonly sources: ReadonlyArray<string> }).sources
    : []

const bytesOf = (loaded: ReadonlyArray<Loaded>): number => loaded.reduce((sum, { bytes }) => sum + bytes, 0)

describe("what a program loads", () => {
  it("is hardly more than what every Effect service loads: connections come with the first client", async () => {
    const service = await loadedBy("effect/Schema", "effect/Stream")
    const front = await loadedBy("effect/Schema", "effect/Stream", "kubelock")
    assert.sameMembers([...new Set(front.map(({ name }) => name))], ["effect", "kubelock"])
    assert.isBelow(bytesOf(front), 1.25 * bytesOf(service))
    const own = front.filter(({ name }) => name === "kubelock").map(({ path }) => path)
    assert.isAtMost(own.length, 3)
    const connecting = own.flatMap(sourcesOf).filter((source) => source.includes("/internal/kubernetes/"))
    assert.deepStrictEqual(
      connecting.map((source) => basename(source)),
      ["kubeConfigError.ts"]
    )
  })

  it("is one undici, also beside @effect/platform-node", async () => {
    const same = `import { Agent } from "undici/index.js"
      import { Agent as other } from "@effect/platform-node/Undici"
      console.log(Agent === other)`
    assert.strictEqual(await node(project.folder, "--input-type=module", "-e", same), "true")
  })

  it("is nothing of @kubernetes/client-node, whatever the kubeconfig", async () => {
    const kubeConfig = JSON.stringify({
      clusters: [{ name: "c", cluster: { server: "https://c.example" } }],
      users: [
        {
          name: "u",
          user: {
            "auth-provider": {
              name: "oidc",
              config: {
                "idp-issuer-url": "https://issuer.invalid",
                "client-id": "c",
                "id-token": "a.eyJleHAiOjQwMDAwMDAwMDB9.b"
              }
            }
          }
        }
      ],
      contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
      "current-context": "x"
    })
    const printed = await node(
      project.folder,
      "--input-type=module",
      "-e",
      `import { registerHooks } from "node:module"
       registerHooks({
         resolve: (specifier, context, next) => {
           if (specifier.includes("client-node")) throw new Error(specifier + " is not installed")
           return next(specifier, context)
         }
       })
       const { Effect } = await import("effect")
       const { KubernetesClient } = await import("kubelock")
       const server = Effect.map(KubernetesClient.KubernetesClient, ({ server }) => server)
       const client = KubernetesClient.layerKubeConfigYaml(${JSON.stringify(kubeConfig)})
       console.log(await Effect.runPromise(Effect.provide(server, client)))`
    )
    assert.strictEqual(printed, "https://c.example")
  })
})

describe("a service in a cluster", () => {
  const bundle = () => join(project.folder, "bundle.mjs")

  beforeAll(async () => {
    write(
      "service.ts",
      `import { Effect, Layer } from "effect"
       import { Lock, ObjectStoreKubernetes, Resource } from "kubelock"
       const job = Lock.withLock("nightly-report")(Effect.sync(() => console.log("working")))
       const LockLive = Lock.layer().pipe(
         Layer.provide(ObjectStoreKubernetes.layerKubeConfig({ resource: Resource.configMap }))
       )
       await Effect.runPromise(job.pipe(Effect.provide(LockLive)))`
    )
    const built = await rolldown({
      input: join(project.folder, "service.ts"),
      platform: "node",
      logLevel: "silent"
    })
    const { output } = await built.generate({ format: "esm", minify: true, codeSplitting: false })
    write("bundle.mjs", output[0].code)
  })

  it("is at most 1.5 MB when it is bundled and minified", () => {
    assert.isAtMost(statSync(bundle()).size, 1_500_000)
  })

  it("runs from its bundle", () =>
    Effect.runPromise(
      Effect.gen(function* () {
        const { kubeConfig } = yield* ApiServer.ApiServer
        write("kubeconfig", kubeConfig)
        const ran = run(tmpdir(), { KUBECONFIG: join(project.folder, "kubeconfig") }, process.execPath, bundle())
        assert.strictEqual(yield* Effect.promise(() => ran), "working")
      }).pipe(Effect.provide(ApiServer.layer()))
    ))
})
