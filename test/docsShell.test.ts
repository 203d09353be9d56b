/**
 * Every shell block of the README and the docs, run as it is written. YAML and JSON blocks are parsed.
 *
 * The cluster is the embedded API server, and `npm start` and `npm run` start the programs of this repository, made small.
 * A comment `<!-- not run: why -->` above a block, which readers do not see, leaves it out. Pages that a benchmark writes
 * are left out too, since `test/commands.test.ts` runs their commands, and so is the page of the command line, which
 * `test/cli/examples.test.ts` runs.
 */
import { assert, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { execFile } from "node:child_process"
import { chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { parseAllDocuments } from "yaml"
import * as KubernetesClient from "../src/KubernetesClient.ts"
import * as Lock from "../src/Lock.ts"
import * as ObjectStoreKubernetes from "../src/ObjectStoreKubernetes.ts"
import * as Resource from "../src/Resource.ts"
import * as ApiServer from "../src/testing/ApiServer.ts"
import { inPath } from "../tools/inPath.ts"
import * as notRun from "../tools/notRun.ts"
import { pages as all } from "./utils/pages.ts"
import { root } from "./utils/publicModules.ts"

// Inside the repository, where `kubelock` is found.
const folder = join(root, ".docs-shell")
const bin = join(folder, "bin")
const kubeconfig = join(folder, "kubeconfig")

const pages = all.filter(
  ({ name, text }) => !text.startsWith("<!-- Written by") && name !== join("docs", "command-line.md")
)

interface Block {
  readonly page: string
  readonly line: number
  readonly text: string
  /** Why it is not run. */
  readonly not: string | undefined
}

const blocksOf = (language: string): ReadonlyArray<Block> =>
  pages.flatMap(({ name, text }) =>
    [...text.matchAll(new RegExp(`(?:<!-- not run: (.*) -->\\n)?^\`\`\`${language}\\n(.*?)^\`\`\`$`, "gms"))].map(
      ({ 1: not, 2: found, index }) => ({
        page: name,
        line: text.slice(0, index).split("\n").length,
        text: found!,
        not
      })
    )
  )

const npm = `#!/bin/sh
program=$1
[ "$program" = run ] && { program=$2; shift; }
shift
[ "$1" = -- ] && shift
case "$program" in
  ci) ;;
  start)
    load() { node "${root}/bench/load/main.ts" "$@" --threads 2 --fibers 2 2>&1; }
    output=$(load "$@" --duration 300ms) && exit 0
    # On a machine that is busy, nothing may be acquired in so short a time.
    case "$output" in *"try a longer --duration"*) load "$@" --duration 20s ;; *) echo "$output"; exit 1 ;; esac
    ;;
  refresh-proof) exec node "${root}/bench/refresh/proof.ts" "$@" --rounds 5 --threads 2 ;;
  *) echo "npm $program is not run here: put <!-- not run: why --> above the block" >&2; exit 1 ;;
esac
`

rmSync(folder, { recursive: true, force: true })
mkdirSync(bin, { recursive: true })
writeFileSync(join(bin, "npm"), npm)
chmodSync(join(bin, "npm"), 0o755)
// A program that a page names before it shows it: `remove-idle.mts`.
for (const { text } of pages)
  for (const [, name, code] of text.matchAll(/`([\w-]+\.mts)`:\n\n```ts\n(.*?)^```$/gms))
    writeFileSync(join(folder, name!), code!)

const hasKubectl = inPath("kubectl") !== undefined

const run = (text: string) =>
  Effect.promise(
    () =>
      new Promise<{ readonly code: unknown; readonly output: string }>((resolve) => {
        execFile(
          "sh",
          ["-euc", text],
          {
            cwd: folder,
            env: {
              ...process.env,
              PATH: `${bin}:${join(root, "node_modules/.bin")}:${process.env["PATH"]}`,
              NODE_OPTIONS: "--conditions=kubelock-source --disable-warning=ExperimentalWarning",
              KUBECONFIG: kubeconfig,
              NO_COLOR: "1"
            }
          },
          (error, stdout, stderr) => resolve({ code: error?.code ?? 0, output: `${stdout}${stderr}` })
        )
      })
  )

const Server = ApiServer.layer({
  namespaces: ["dex"],
  resources: [Resource.refreshToken, Resource.configMap, Resource.secret]
})

layer(Server, { excludeTestServices: true })("the shell blocks of the docs", (it) => {
  const blocks = blocksOf("sh")

  it.effect("some run, and each that does not says why", () =>
    Effect.sync(() => {
      assert.isAbove(blocks.filter(({ not }) => not === undefined).length, 3)
      for (const { not } of blocks) if (not !== undefined) assert.isAbove(not.length, 10)
    })
  )

  for (const { line, page, text } of blocks.filter(({ not }) => not === undefined)) {
    if (text.includes("kubectl") && !hasKubectl) {
      notRun.say(`${page}:${line}`, "NOT RUN, no kubectl: Debian's package kubernetes-client has one")
      continue
    }
    it.effect(`${page}:${line} runs`, () =>
      Effect.gen(function* () {
        const { kubeConfig } = yield* ApiServer.ApiServer
        writeFileSync(kubeconfig, kubeConfig)
        // Something that locks have left, for those that look for it.
        const store = ObjectStoreKubernetes.layer({ resource: Resource.configMap }).pipe(
          Layer.provide(KubernetesClient.layerKubeConfigYaml(kubeConfig))
        )
        yield* Lock.withLock("left-by-a-lock")(Effect.void).pipe(
          Effect.provide(Lock.layer().pipe(Layer.provide(store)))
        )
        const { code, output } = yield* run(text)
        assert.strictEqual(code, 0, `${text}\n${output}`)
        if (text.includes("remove-idle.mts")) assert.include(output, "left-by-a-lock Removed")
      })
    )
  }
})

it("YAML and JSON in the docs parse", () => {
  const blocks = [...blocksOf("yaml"), ...blocksOf("json")]
  assert.isAbove(blocks.length, 5)
  const wrong = blocks.flatMap(({ line, page, text }) =>
    parseAllDocuments(text).flatMap(({ errors }) => errors.map(({ message }) => `${page}:${line}: ${message}`))
  )
  assert.deepStrictEqual(wrong, [])
})
