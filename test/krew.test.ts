/** The manifest for krew: its shape, by krew's rules, and that it installs a plugin which runs, from the package as it is packed. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { execFileSync } from "node:child_process"
import { cpSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, dirname, join } from "node:path"
import { parse } from "yaml"
import { install, type Project } from "./utils/installedPackage.ts"
import { root } from "./utils/publicModules.ts"

const Requirement = Schema.Struct({
  key: Schema.Literals(["os", "arch"]),
  operator: Schema.Literals(["In", "NotIn"]),
  values: Schema.NonEmptyArray(Schema.String)
})

const Platform = Schema.Struct({
  selector: Schema.Struct({ matchExpressions: Schema.NonEmptyArray(Requirement) }),
  uri: Schema.String.check(Schema.isPattern(/^https:\/\/[^\s{}]+\.tgz$/)),
  sha256: Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/)),
  files: Schema.NonEmptyArray(Schema.Struct({ from: Schema.String, to: Schema.String })),
  bin: Schema.String
})

// A short description is at most 50 characters, starts with a capital letter and has no full stop: krew's developer guide.
const Plugin = Schema.Struct({
  apiVersion: Schema.Literal("krew.googlecontainertools.github.com/v1alpha2"),
  kind: Schema.Literal("Plugin"),
  metadata: Schema.Struct({ name: Schema.Literal("kubelock") }),
  spec: Schema.Struct({
    version: Schema.String.check(Schema.isPattern(/^v\d+\.\d+\.\d+$/)),
    homepage: Schema.String.check(Schema.isPattern(/^https:\/\//)),
    shortDescription: Schema.String.check(Schema.isPattern(/^[A-Z].{1,48}[^.]$/)),
    description: Schema.String,
    caveats: Schema.String,
    platforms: Schema.NonEmptyArray(Platform)
  })
})

const { bin, engines, version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  readonly bin: Readonly<Record<string, string>>
  readonly engines: { readonly node: string }
  readonly version: string
}

/** The manifest as krew-release-bot fills it in. */
const filled = readFileSync(join(root, ".krew.yaml"), "utf8")
  .replaceAll("{{ .TagName }}", `v${version}`)
  .replace(
    /^( *)\{\{addURIAndSha "(.*)" \.TagName \}\}$/m,
    (_, indent: string, uri: string) => `${indent}uri: ${uri}\n${indent}sha256: ${"f0".repeat(32)}`
  )

const plugin = Schema.decodeUnknownSync(Plugin, { onExcessProperty: "error" })(parse(filled))

let project: Project
let folder: string

beforeAll(async () => {
  project = await install()
  folder = mkdtempSync(join(tmpdir(), "kubelock-krew-"))
})

afterAll(() => {
  project.remove()
  rmSync(folder, { recursive: true, force: true })
})

describe("the plugin for krew", () => {
  it("is the package's kubectl-kubelock, and says which Node.js it needs", () => {
    for (const platform of plugin.spec.platforms) assert.strictEqual(platform.bin, bin["kubectl-kubelock"])
    assert.include(plugin.spec.caveats, engines.node.replace(">=", ""))
  })

  it("runs as krew installs it, and calls itself as kubectl does", () => {
    const unpacked = join(folder, "unpacked")
    mkdirSync(unpacked)
    execFileSync("tar", ["-xzf", project.tarball, "-C", unpacked])
    for (const [index, { bin, files }] of plugin.spec.platforms.entries()) {
      const store = join(folder, `store-${index}`)
      for (const { from, to } of files) {
        const found = globSync(from, { cwd: unpacked })
        assert.isNotEmpty(found, from)
        mkdirSync(join(store, to), { recursive: true })
        for (const name of found) cpSync(join(unpacked, name), join(store, to, basename(name)))
      }
      assert.strictEqual(statSync(join(store, bin)).mode & 0o111, 0o111)
      const link = join(folder, "kubectl-kubelock")
      symlinkSync(join(store, bin), link)
      const env = { HOME: folder, PATH: `${dirname(process.execPath)}:/usr/bin:/bin` }
      assert.match(execFileSync(link, ["--help"], { env, encoding: "utf8" }), /kubectl kubelock <subcommand>/)
      assert.match(execFileSync(link, ["--version"], { env, encoding: "utf8" }), / \d+\.\d+\.\d+\n$/)
    }
  })
})
