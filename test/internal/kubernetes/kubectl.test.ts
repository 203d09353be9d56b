/**
 * Kubeconfigs as the real kubectl reads them: the same files, the same cluster, user and context. Without kubectl (Debian:
 * kubernetes-client) the comparison does not run, and says so.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { execFile, spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, isAbsolute, join, relative } from "node:path"
import { promisify } from "node:util"
import { Environment } from "../../../src/internal/kubernetes/environment.ts"
import * as FindTarget from "../../../src/internal/kubernetes/findTarget.ts"

const hasKubectl = spawnSync("kubectl", ["version", "--client"]).status === 0

if (!hasKubectl) {
  process.stderr.write(
    "NOT RUN: the comparison with kubectl (test/internal/kubernetes/kubectl.test.ts). Install kubectl (Debian: kubernetes-client).\n"
  )
}

const entry = (name: string, server: string) => `
- name: ${name}
  cluster:
    server: ${server}`

const full = `
apiVersion: v1
kind: Config
preferences: { colors: true }
current-context: x
contexts:
- { name: x, context: { cluster: c, user: u, namespace: ours } }
- { name: z, context: { cluster: c, user: v } }
clusters:
- name: c
  cluster:
    server: https://c.example/k8s/clusters/c-m-abcdefgh
    tls-server-name: other.example
    certificate-authority: pki/ca.crt
    proxy-url: http://proxy.example:3128
    disable-compression: true
users:
- name: u
  user:
    client-certificate: u.crt
    client-key: /absolute/u.key
    tokenFile: ../token
    as: somebody
    as-uid: "7"
    as-groups: [one, two]
    as-user-extra: { scopes: [a, b], reason: [c] }
- name: v
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1beta1
      command: bin/plugin
      args: [login, ""]
      env: [{ name: A, value: b }]
      installHint: Look for it.
      provideClusterInfo: true
`

/** The files, and what `KUBECONFIG` names. */
const cases: Readonly<
  Record<
    string,
    { readonly files: Readonly<Record<string, string>>; readonly kubeconfig: string; readonly context?: string }
  >
> = {
  "with all fields": { files: { a: full }, kubeconfig: "a" },
  "with another context": { files: { a: full }, kubeconfig: "a", context: "z" },
  "of which the first decides": {
    files: {
      a: `current-context: x\nclusters:${entry("c", "https://first.example")}`,
      b: full.replace("current-context: x", "current-context: z")
    },
    kubeconfig: "a:b"
  },
  "of which one has the context and another its cluster": {
    files: {
      a: "current-context: x\ncontexts: [{ name: x, context: { cluster: c, user: u } }]",
      b: `clusters:${entry("c", "https://b.example")}\nusers: [{ name: u, user: { token: t } }]`
    },
    kubeconfig: "a:b"
  },
  "of which some are missing, empty, or named twice": {
    files: { a: full, empty: "" },
    kubeconfig: "missing::empty:a:a"
  },
  "in YAML 1.1": {
    files: {
      a: `current-context: 2026-01-01
contexts: [{ name: 2026-01-01, context: { cluster: c, user: u } }]
extensions: [{ name: common, extension: &common { server: "https://c.example", insecure-skip-tls-verify: yes } }]
clusters: [{ name: c, cluster: { <<: *common } }]
users: [{ name: u, user: { token: 2026-01-01 } }]`
    },
    kubeconfig: "a"
  },
  "with nulls": {
    files: {
      a: `current-context: x\ncontexts: [{ name: x, context: { cluster: c, user: u, namespace: null } }]
clusters: [{ name: c, cluster: { server: "https://c.example", proxy-url: null } }]\nusers: [{ name: u, user: null }]`
    },
    kubeconfig: "a"
  },
  "with two documents": { files: { a: `${full}\n---\ncurrent-context: z\n` }, kubeconfig: "a" },
  "in JSON": {
    files: {
      a: JSON.stringify({
        "current-context": "x",
        contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
        clusters: [{ name: "c", cluster: { server: "https://c.example", "certificate-authority-data": "Y2E=" } }],
        users: [{ name: "u", user: { username: "a", password: "b", "client-key-data": "", token: "" } }]
      })
    },
    kubeconfig: "a"
  }
}

const refused: Readonly<Record<string, string>> = {
  "a number for a token": full.replace("tokenFile: ../token", "token: 0123"),
  "two contexts of one name": full.replace("name: z", "name: x"),
  "another kind": full.replace("kind: Config", "kind: Pod"),
  "another version": full.replace("apiVersion: v1\n", "apiVersion: v2\n"),
  "a list in place of a mapping": "- a\n",
  "a boolean for a name": full.replace("name: z", "name: yes"),
  "a certificate that is not base64": full.replace("client-certificate: u.crt", "client-certificate-data: '?'"),
  "broken YAML": "a: [b"
}

describe.skipIf(!hasKubectl)("kubeconfigs", () => {
  let folder = ""
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "kubelock-kubectl-"))
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  const write = (title: string, files: Readonly<Record<string, string>>) => {
    const home = join(folder, title.replaceAll(/\W/g, "-"))
    mkdirSync(home)
    for (const [name, text] of Object.entries(files)) writeFileSync(join(home, name), text)
    return home
  }
  const kubectl = (kubeconfig: string, ...args: ReadonlyArray<string>) =>
    promisify(execFile)("kubectl", ["config", "view", "--minify", "--raw", "-o", "json", ...args], {
      env: { PATH: process.env["PATH"], HOME: folder, KUBECONFIG: kubeconfig }
    })
  const ours = (kubeconfig: string, context: string | undefined) =>
    Effect.runPromise(
      Effect.provideService(FindTarget.inFiles({ context }), Environment, {
        variables: { KUBECONFIG: kubeconfig },
        home: folder,
        serviceAccount: folder
      })
    )

  for (const [title, { context, files, kubeconfig }] of Object.entries(cases)) {
    it.concurrent(`${title} mean what they mean to kubectl`, async () => {
      const home = write(title, files)
      const paths = kubeconfig
        .split(":")
        .map((name) => (name === "" ? "" : join(home, name)))
        .join(delimiter)
      const { stdout } = await kubectl(paths, ...(context === undefined ? [] : ["--context", context]))
      const theirs = JSON.parse(stdout) as {
        readonly "current-context": string
        readonly clusters: ReadonlyArray<{ readonly cluster: object }>
        readonly users: ReadonlyArray<{ readonly user: object }>
        readonly contexts: ReadonlyArray<{ readonly context: { readonly namespace?: string } }>
      }
      const target = await ours(paths, context)
      assert.strictEqual(target.context, theirs["current-context"])
      assert.strictEqual(target.namespace, theirs.contexts[0]!.context.namespace)
      assert.deepStrictEqual(asShown(target.cluster, home), theirs.clusters[0]!.cluster)
      assert.deepStrictEqual(asShown(target.user, home), theirs.users[0]!.user)
    })
  }

  for (const [title, file] of Object.entries(refused)) {
    it.concurrent(`with ${title} are refused, as by kubectl`, async () => {
      const path = join(write(`refused ${title}`, { a: file }), "a")
      await kubectl(path).then(
        () => assert.fail("kubectl took it"),
        () => {}
      )
      await ours(path, undefined).then(
        () => assert.fail("kubelock took it"),
        () => {}
      )
    })
  }
})

// `kubectl config view` shows paths as they stand in the file, and what a plugin has by default.
const asShown = (value: object, home: string): unknown =>
  JSON.parse(JSON.stringify(value), (key, item: unknown) => {
    if (typeof item === "string" && isAbsolute(item) && !item.startsWith("/absolute")) return relative(home, item)
    if (key !== "exec") return item
    return { args: null, env: null, interactiveMode: "IfAvailable", provideClusterInfo: false, ...(item as object) }
  })
