/** The examples of the help and of the page, run as they are written. What they call is a program that does nothing. */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as benchJob from "../utils/benchJob.ts"
import * as Kubelock from "../utils/kubelock.ts"
import { root } from "../utils/publicModules.ts"

const kubelock = Kubelock.forTests()

beforeAll(() => {
  writeFileSync(join(kubelock.folder, "kubelock.kubeconfig"), kubelock.server.kubeConfig)
  for (const name of ["make", "npx", "pg_dump", "crawl", "read", "write", "report", "controller", "kubectl"]) {
    const script = name === "npx" ? `exec "$@"` : "exit 0"
    writeFileSync(join(kubelock.folder, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  }
})

beforeAll(() => benchJob.leave(kubelock, "kubelock-bench", "3", benchJob.result()))

// What is looked at must be there.
beforeAll(() => kubelock.run(["run", "deploy", "--", "true"]))

let acquired = 0

const runs = async (line: string) => {
  // It serves until a signal, as its own tests do.
  if (line.startsWith("kubelock serve")) return
  // What an earlier step acquired.
  const before = line.includes("$HANDLE") ? `HANDLE=$(kubelock acquire step-${++acquired}); ` : ""
  const { code, stderr, stdout } = await kubelock.shell(before + line)
  assert.strictEqual(code, 0, `${line}\n${stdout}\n${stderr}`)
}

const verbs = ["run", "inspect", "break", "doctor", "acquire", "renew", "release", "bench", "serve"]

describe("the help of kubelock", () => {
  it("names every verb", async () => {
    const { code, stdout } = await kubelock.run(["--help"])
    assert.strictEqual(code, 0)
    const named = [...stdout.split("\nSUBCOMMANDS\n")[1]!.matchAll(/^ {2}(\S+)/gm)].map(([, verb]) => verb)
    assert.deepStrictEqual(named, verbs)
    assert.strictEqual((await kubelock.run([])).stdout, stdout)
  })

  it.each(verbs)("of %s has examples that work", async (verb) => {
    const { code, stderr, stdout } = await kubelock.run([verb, "--help"])
    assert.deepStrictEqual([code, stderr], [0, ""])
    const examples = [...stdout.split("\nEXAMPLES\n")[1]!.matchAll(/^ {2}([^#\n]*kubelock .*)$/gm)].map(
      ([, line]) => line!
    )
    assert.isNotEmpty(examples)
    await Promise.all(examples.map(runs))
  })

  it("tells the version", async () => {
    assert.match((await kubelock.run(["--version"])).stdout, /^kubelock \d+\.\d+\.\d+\n$/)
  })

  it.each(["bash", "zsh", "fish"])("names the verbs in the completions for %s", async (shell) => {
    const { code, stdout } = await kubelock.run(["--completions", shell])
    assert.strictEqual(code, 0)
    for (const verb of verbs) assert.include(stdout, verb)
  })

  it("has no colours in a pipe", async () => {
    const { stdout } = await kubelock.run(["--help"], { env: { NO_COLOR: undefined } })
    assert.notInclude(stdout, "\u001B")
  })
})

describe.each(["command-line.md", "operating.md"])("docs/%s", (name) => {
  const page = readFileSync(join(root, "docs", name), "utf8")
  const blocks = [...page.matchAll(/^```sh\n(.*?)^```/gms)].map(([, block]) => block!.trim().split("\n"))

  it.each(blocks.flat())("runs %s", runs)
})

describe("docs/command-line.md", () => {
  it("tells the exit codes that the help tells", async () => {
    const page = readFileSync(join(root, "docs/command-line.md"), "utf8")
    const { stdout } = await kubelock.run(["run", "--help"])
    for (const [, code] of page.matchAll(/^\| (\d+)\b/gm)) assert.include(stdout, `\n  ${code} `)
  })
})
