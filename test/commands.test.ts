/**
 * Every program that `package.json` starts: its help, its complaints, and every example in its help, run as it is written.
 * An example with `--kubeconfig` also runs with a file.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { execFile } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Resource from "../src/Resource.ts"
import { ApiServer } from "../src/testing/index.ts"
import { root } from "./utils/publicModules.ts"

const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  readonly scripts: Readonly<Record<string, string>>
}

/** The file of each program by the name of its script. */
const programs = Object.fromEntries(
  Object.entries(scripts).flatMap(([script, text]) => {
    const file = /^node (\S+\.ts)$/.exec(text)?.[1]
    return file === undefined ? [] : [[script, file]]
  })
)

/** Flags that make the examples of a program small. They replace those of the example. */
const small: Readonly<Record<string, ReadonlyArray<string>>> = {
  start: ["--duration=300ms", "--threads=2", "--fibers=2"],
  bench: ["--duration=20ms"],
  "bench:startup": ["--rounds=1"],
  "refresh-proof": ["--rounds=5", "--threads=2", "--upstream=50ms"],
  simulate: ["--seeds=2"],
  explore: ["--depth=2"]
}

/** Examples that end with 1 here, and what they say. The suites on real API servers run the benchmark of peers. */
const failing: Readonly<Record<string, RegExp>> = {
  "npm run refresh-proof -- --no-lock": /NOT REFRESHED ONCE/,
  "npm run bench:dex": /KUBEBUILDER_ASSETS is not set/,
  "npm run bench:dex -- --quick": /KUBEBUILDER_ASSETS is not set/,
  "npm run bench:permits": /KUBEBUILDER_ASSETS is not set/,
  "npm run bench:permits -- --quick": /KUBEBUILDER_ASSETS is not set/,
  "npm run bench:runners": /KUBEBUILDER_ASSETS is not set/,
  "npm run bench:runners -- --rounds 1": /KUBEBUILDER_ASSETS is not set/,
  "npm run bench:election": /KUBEBUILDER_ASSETS is not set/,
  "npm run bench:election -- --rounds 1": /KUBEBUILDER_ASSETS is not set/,
  "npm run bench:sessions": /KUBEBUILDER_ASSETS is not set/,
  "npm run bench:sessions -- --locks 100 --seconds 5 --rounds 3": /KUBEBUILDER_ASSETS is not set/,
  "npm run bench:peers -- --against ../before/package --contenders 2,8 --json peers.json":
    /is not a package of kubelock/,
  "npm run bench:peers -- --quick": /KUBEBUILDER_ASSETS is not set/,
  "npm run bench:peers -- --json peers.json": /KUBEBUILDER_ASSETS is not set/,
  "npm run bench:peers -- --page peers.json": /peers\.json: ENOENT/,
  "npm run test:chaos -- --only cluster --minutes 10": /KUBEBUILDER_ASSETS is not set/,
  "npm run test:chaos -- --kind semaphore --seed 7 --record chaos.jsonl": /KUBEBUILDER_ASSETS is not set/,
  "npm run soak -- --minutes 20": /KUBEBUILDER_ASSETS is not set/,
  "npm run record": /KUBEBUILDER_ASSETS is not set/,
  "npm run test:go -- --beside go": /KUBEBUILDER_ASSETS is not set/,
  "npm run test:go -- --figures": /KUBEBUILDER_ASSETS is not set/
}

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

const resources = [Resource.refreshToken, Resource.configMap, Resource.secret, Resource.lease]
const scope = Effect.runSync(Scope.make())
const folder = mkdtempSync(join(tmpdir(), "kubelock-commands-"))
const kubeconfig = join(folder, "kubeconfig")

beforeAll(async () => {
  const built = await Effect.runPromise(
    Scope.provide(Layer.build(ApiServer.layer({ namespaces: ["dex"], resources })), scope)
  )
  const { kubeConfig } = await Effect.runPromise(Effect.provideContext(ApiServer.ApiServer, built))
  // The examples name a context of their own.
  writeFileSync(
    kubeconfig,
    kubeConfig.replace("contexts:\n  - name: kubelock\n", (found) => `${found}${context}`)
  )
})

const context = `    context:
      cluster: kubelock
      user: kubelock
      namespace: default
  - name: staging
`

afterAll(async () => {
  await Effect.runPromise(Scope.close(scope, Exit.void))
  rmSync(folder, { recursive: true, force: true })
})

const run = (args: ReadonlyArray<string>): Promise<Ended> => {
  const { KUBEBUILDER_ASSETS: _, ...env } = process.env
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      args,
      { cwd: folder, env: { ...env, KUBECONFIG: kubeconfig, NO_COLOR: "1" } },
      (error, stdout, stderr) => resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr })
    )
  })
}

const runScript = (script: string, ...args: ReadonlyArray<string>) => run([join(root, programs[script]!), ...args])

/** The arguments of an example, made small. */
const argumentsOf = (script: string, example: string): ReadonlyArray<string> => {
  const words = [...example.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!)
  const given = words.slice(words.includes("--") ? words.indexOf("--") + 1 : words.length)
  const flags = small[script] ?? []
  const isReplaced = (word: string | undefined) => flags.some((flag) => flag.split("=")[0] === word)
  return [...given.filter((word, index) => !isReplaced(word) && !isReplaced(given[index - 1])), ...flags]
}

describe.each(Object.keys(programs))("npm run %s", (script) => {
  it("helps, names itself as it is invoked, and gives examples that work", async () => {
    const { code, stderr, stdout } = await runScript(script, "--help")
    assert.deepStrictEqual([code, stderr], [0, ""])
    assert.match(stdout, /^DESCRIPTION\n/)
    assert.include(stdout, `USAGE\n  npm ${script === "start" ? "" : "run "}${script} -- `)
    const examples = [...(stdout.split("\nEXAMPLES\n")[1] ?? "").matchAll(/^ {2}(npm .*)$/gm)]
    const withFile = ([, example]: RegExpExecArray) =>
      example!.includes("--kubeconfig") ? [example!, example!.replace("--kubeconfig", `$& ${kubeconfig}`)] : [example!]
    await Promise.all(
      examples.flatMap(withFile).map(async (example) => {
        const args = argumentsOf(script, example)
        const first = await runScript(script, ...args)
        // On a machine that is busy, nothing may be acquired in so short a time.
        const isTooShort = first.stderr.includes("try a longer --duration")
        const longer = args.map((flag) => (flag.startsWith("--duration=") ? "--duration=20s" : flag))
        const ended = isTooShort ? await runScript(script, ...longer) : first
        const complaint = failing[example]
        const output = `${example}\n${ended.stdout}\n${ended.stderr}`
        assert.strictEqual(ended.code, complaint === undefined ? 0 : 1, output)
        if (complaint !== undefined) assert.match(output, complaint)
      })
    )
  })

  it("says in one line which flag it does not know", async () => {
    const { code, stderr, stdout } = await runScript(script, "--hel")
    assert.deepStrictEqual([code, stdout], [1, ""])
    assert.match(stderr, /^error: Unrecognized flag: --hel in command npm .*\(see npm .* --help\)\n$/)
  })
})
