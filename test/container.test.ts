/** The container image: its steps, done in a clean folder, and what is in it. There is no engine here that would build it. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import { accessSync, constants, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { install, type Project } from "./utils/installedPackage.ts"
import { root } from "./utils/publicModules.ts"

const context = join(root, "docs/examples/container")

/** An instruction of the Containerfile. */
interface Instruction {
  readonly name: string
  readonly args: string
}

const instructions: ReadonlyArray<Instruction> = readFileSync(join(context, "Containerfile"), "utf8")
  .split("\n")
  .filter((line) => line !== "" && !line.startsWith("#"))
  .map((line) => ({ name: line.slice(0, line.indexOf(" ")), args: line.slice(line.indexOf(" ") + 1) }))

const starts = instructions.flatMap(({ name }, index) => (name === "FROM" ? [index] : []))
const stages = starts.map((start, index) => instructions.slice(start, starts[index + 1]))

const argsOf = (stage: ReadonlyArray<Instruction>, wanted: string): ReadonlyArray<string> =>
  stage.filter(({ name }) => name === wanted).map(({ args }) => args)

const execute = (file: string, args: ReadonlyArray<string>, env: NodeJS.ProcessEnv, cwd = "/"): string =>
  execFileSync(file, args, { cwd, env, encoding: "utf8" })

let project: Project
let folder: string

/** Where a path of the image is. */
const inImage = (path: string) => join(folder, "image", path)

// Each RUN is done in a shell, in a folder that has what was copied there, and nothing of this repository.
beforeAll(async () => {
  project = await install()
  folder = mkdtempSync(join(tmpdir(), "kubelock-image-"))
  const build = join(folder, "build")
  mkdirSync(build)
  for (const args of argsOf(stages[0]!, "COPY")) {
    const [from = "", to = ""] = args.split(" ")
    execute("cp", ["-R", join(context, from), to], process.env, build)
  }
  // Node.js is the one that runs this test, as it is that of the image there.
  mkdirSync(join(folder, "path"))
  symlinkSync(process.execPath, join(folder, "path/node"))
  const env = {
    PATH: `${join(folder, "path")}:${process.env["PATH"]}`,
    HOME: folder,
    PACKAGE: project.tarball,
    npm_config_offline: "true"
  }
  for (const line of argsOf(stages[0]!, "RUN")) {
    execute("/bin/sh", ["-ec", line.replaceAll(" /kubelock", ` ${inImage("/kubelock")}`)], env, build)
  }
}, 300_000)

afterAll(() => {
  project.remove()
  rmSync(folder, { recursive: true, force: true })
})

describe("the container image", () => {
  const [, last = []] = stages

  it("has two stages, of which the last runs nothing, has no shell and is not root", () => {
    assert.lengthOf(stages, 2)
    assert.isEmpty(argsOf(last, "RUN"))
    assert.match(argsOf(last, "FROM")[0]!, /distroless/)
    assert.match(argsOf(last, "USER")[0]!, /^[1-9]\d*:[1-9]\d*$/)
    assert.deepStrictEqual(argsOf(last, "COPY"), ["--from=install /kubelock /kubelock"])
  })

  it("starts without a shell, a path and a folder that it may write to", () => {
    const entry = JSON.parse(argsOf(last, "ENTRYPOINT")[0]!) as ReadonlyArray<string>
    const [file = "", ...args] = entry.map(inImage)
    assert.match(execute(file, [...args, "--version"], { HOME: "/dev/null" }), /^kubelock \d+\.\d+\.\d+\n$/)
    const help = execute(file, [...args, ...(JSON.parse(argsOf(last, "CMD")[0]!) as ReadonlyArray<string>)], {})
    assert.include(help, "SUBCOMMANDS")
  })

  it("has what can be copied into another image, and called there by its name, also by a link", () => {
    const link = join(folder, "kubelock")
    symlinkSync(inImage("/kubelock/bin/kubelock"), link)
    for (const file of [inImage("/kubelock/bin/kubelock"), link]) {
      assert.match(execute(file, ["--version"], { PATH: "/usr/bin:/bin" }), /^kubelock /)
    }
  })

  it("has the licenses of what it contains, and nothing that only the library needs", () => {
    for (const name of ["LICENSE", "package.json", "dist/cli/licenses.txt"]) {
      accessSync(inImage(join("/kubelock/lib", name)), constants.R_OK)
    }
    for (const name of ["src", "docs", "dist/index.js"])
      assert.isFalse(existsSync(inImage(join("/kubelock/lib", name))))
  })
})
