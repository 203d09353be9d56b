/**
 * Every TypeScript example of the README and the docs, compiled and run as a program of its own.
 *
 * A fenced block `text` right after an example is the output that it must print. Examples find the embedded API server
 * by `KUBECONFIG`, as they find a real one.
 */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { execFile } from "node:child_process"
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import * as ApiServer from "../src/testing/ApiServer.ts"
import { pages } from "./utils/pages.ts"
import { root } from "./utils/publicModules.ts"

const folder = join(root, ".docs")

const examples = pages.flatMap(({ name: page, text }) =>
  [...text.matchAll(/^```ts\n(.*?)^```\n(?:\n```text\n(.*?)^```$)?/gms)].map(([, code, output], index) => {
    const name = `${page.replaceAll(/\W+/g, "-")}-${index + 1}`
    return { name, page, file: join(folder, `${name}.ts`), code: code!, output }
  })
)

rmSync(folder, { recursive: true, force: true })
mkdirSync(folder)
for (const { code, file } of examples) writeFileSync(file, code)
writeFileSync(
  join(folder, "tsconfig.json"),
  JSON.stringify({
    extends: "../tsconfig.json",
    compilerOptions: { lib: ["ES2024", "DOM"], noUnusedLocals: false },
    include: ["*.ts"]
  })
)

const run = (file: string, args: ReadonlyArray<string>, env: Record<string, string> = {}) =>
  Effect.promise(() =>
    promisify(execFile)(file, args, { cwd: root, env: { ...process.env, ...env, NO_COLOR: "1" } }).then(
      ({ stdout }) => ({ failed: false, stdout }),
      (error: { readonly stdout: string; readonly stderr: string }) => ({
        failed: true,
        stdout: `${error.stdout}\n${error.stderr}`
      })
    )
  )

layer(ApiServer.layer(), { excludeTestServices: true })("the examples of the docs", (it) => {
  it.effect("exist and compile", () =>
    Effect.gen(function* () {
      assert.isAbove(examples.length, 5)
      const { failed, stdout } = yield* run(join(root, "node_modules/.bin/tsc"), ["-p", folder])
      assert.isFalse(failed, stdout)
    })
  )

  for (const { file, name, output, page } of examples) {
    it.effect(`${name} of ${page} runs, and prints what the page says`, () =>
      Effect.gen(function* () {
        const { kubeConfig } = yield* ApiServer.ApiServer
        const kubeConfigFile = join(folder, `${name}.kubeconfig`)
        writeFileSync(kubeConfigFile, kubeConfig)
        const { failed, stdout } = yield* run(
          process.execPath,
          ["--conditions=kubelock-source", "--disable-warning=ExperimentalWarning", file],
          { KUBECONFIG: kubeConfigFile }
        )
        assert.isFalse(failed, stdout)
        if (output !== undefined) assert.strictEqual(stdout.trim(), output.trim())
      })
    )
  }
})
