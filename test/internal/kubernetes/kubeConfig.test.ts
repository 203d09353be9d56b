/** Kubeconfigs: what they mean, which of them wins, and what is refused. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { Environment } from "../../../src/internal/kubernetes/environment.ts"
import * as FindTarget from "../../../src/internal/kubernetes/findTarget.ts"
import * as KubeConfig from "../../../src/internal/kubernetes/kubeConfig.ts"

interface Parts {
  readonly cluster?: unknown
  readonly user?: unknown
  readonly context?: unknown
  readonly top?: Readonly<Record<string, unknown>>
}

const document = ({ cluster, context, top, user }: Parts) => ({
  clusters: [{ name: "c", cluster: { server: "https://c.example", ...(cluster as object) } }],
  users: [{ name: "u", user: user ?? {} }],
  contexts: [{ name: "x", context: { cluster: "c", user: "u", ...(context as object) } }],
  "current-context": "x",
  ...top
})

const target = (parts: Parts, directory?: string) =>
  Result.flatMap(KubeConfig.fromDocument(document(parts), { name: "a file", directory }), (kubeConfig) =>
    KubeConfig.choose(kubeConfig, kubeConfig.currentContext)
  )

const chosen = (parts: Parts, directory?: string) => Result.getOrThrow(target(parts, directory))

const refusal = (parts: Parts): string => {
  const result = target(parts)
  return Result.isFailure(result) ? result.failure.message : "nothing was refused"
}

describe("a kubeconfig", () => {
  it("gives the cluster, the user and the namespace of its current context", () => {
    const { cluster, namespace, user } = chosen({ user: { token: "t" }, context: { namespace: "ours" } })
    assert.deepStrictEqual([cluster.server, user.token, namespace], ["https://c.example", "t", "ours"])
  })

  it("takes null and the empty string for what is not set", () => {
    const { cluster, user } = chosen({ cluster: { "proxy-url": "", extensions: null }, user: null })
    assert.deepStrictEqual([cluster, user], [{ server: "https://c.example" }, {}])
  })

  it("has paths, and commands with a slash, relative to its file", () => {
    const { cluster, user } = chosen(
      {
        cluster: { "certificate-authority": "ca.crt" },
        user: { tokenFile: "tokens/t", exec: { ...plugin, command: "./plugin" } }
      },
      "/home/me/.kube"
    )
    assert.strictEqual(cluster["certificate-authority"], "/home/me/.kube/ca.crt")
    assert.strictEqual(user.tokenFile, "/home/me/.kube/tokens/t")
    assert.strictEqual(user.exec?.command, "/home/me/.kube/plugin")
    assert.strictEqual(chosen({ user: { exec: plugin } }, "/home").user.exec?.command, "plugin")
    assert.strictEqual(chosen({ user: { tokenFile: "/t" } }, "/home").user.tokenFile, "/t")
  })

  it("gives a plugin the extension of its cluster, as it stands", () => {
    const extension = { audience: "", nested: [null] }
    const extensions = [{ name: "client.authentication.k8s.io/exec", extension }]
    assert.deepStrictEqual(chosen({ cluster: { extensions } }).pluginConfig, extension)
  })
})

const plugin = { apiVersion: "client.authentication.k8s.io/v1", command: "plugin", interactiveMode: "Never" }

describe("a kubeconfig is refused", () => {
  const cases: ReadonlyArray<readonly [when: string, parts: Parts, message: string]> = [
    ["it is of another kind", { top: { kind: "Pod" } }, '"v1 Pod", not a "v1 Config"'],
    ["it is of another version", { top: { apiVersion: "v2" } }, '"v2 Config", not a "v1 Config"'],
    [
      "it has an unknown field",
      { top: { current_context: "x" } },
      'a file has "current_context", which is not supported'
    ],
    [
      "its cluster has one",
      { cluster: { "api-version": "v1" } },
      'the cluster "c" has "api-version", which is not supported'
    ],
    ["its user has one", { user: { "token-file": "t" } }, 'the user "u" has "token-file", which is not supported'],
    ["its context has one", { context: { ns: "a" } }, 'the context "x" has "ns", which is not supported'],
    ["its plugin has one", { user: { exec: { ...plugin, cwd: "/" } } }, '"exec.cwd", which is not supported'],
    ["a field is of the wrong kind", { user: { token: 7 } }, '"token" with a value of the wrong kind'],
    [
      "a certificate is not base64",
      { user: { "client-key-data": "?" } },
      '"client-key-data" with a value of the wrong kind'
    ],
    ["two users have one name", { top: { users: [{ name: "u" }, { name: "u" }] } }, 'has two users with the name "u"'],
    ["its context is not there", { top: { "current-context": "z" } }, 'no context "z"; it has "x"'],
    ["its cluster is not there", { context: { cluster: "z" } }, 'names the cluster "z", which does not exist'],
    ["its user is not there", { context: { user: "z" } }, 'names the user "z", which does not exist'],
    ["its namespace is no name", { context: { namespace: "A b" } }, "which is not a name of a namespace"],
    ["its cluster has no server", { cluster: { server: null } }, "has no server"],
    [
      "an authority is given that is not asked",
      { cluster: { "certificate-authority": "a", "insecure-skip-tls-verify": true } },
      "has both a certificate authority and insecure-skip-tls-verify"
    ],
    ["a key has no certificate", { user: { "client-key": "a" } }, "has a client-key but no client-certificate"],
    ["a certificate has no key", { user: { "client-certificate": "a" } }, "has a client-certificate but no client-key"],
    [
      "a certificate is given twice",
      { user: { "client-certificate": "a", "client-certificate-data": "YQ==" } },
      "has both client-certificate and client-certificate-data"
    ],
    ["there are two ways to log in", { user: { token: "a", username: "b" } }, "has both a token and a username"],
    ["groups are given without a user", { user: { "as-groups": ["a"] } }, "as-user-extra but no as"],
    ["a plugin has no command", { user: { exec: { ...plugin, command: "" } } }, "has exec without a command"],
    [
      "a plugin has an unknown version",
      { user: { exec: { ...plugin, apiVersion: "client.authentication.k8s.io/v1alpha1" } } },
      "known are client.authentication.k8s.io/v1 and"
    ],
    ["a plugin has no mode", { user: { exec: { ...plugin, interactiveMode: null } } }, "without an interactiveMode"],
    [
      "a plugin has an unknown mode",
      { user: { exec: { ...plugin, interactiveMode: "No" } } },
      'the interactiveMode "No"'
    ],
    ["a plugin has a variable without a name", { user: { exec: { ...plugin, env: [{ value: "a" }] } } }, "has no name"]
  ]
  for (const [when, parts, message] of cases) {
    it(`if ${when}`, () => {
      assert.include(refusal(parts), message)
      assert.match(refusal(parts), /^Cannot use the kubeconfig: [^\n]*\.$/)
    })
  }

  it("without quoting a value, which may be a secret", () => {
    for (const user of [{ token: ["s3cret"] }, { exec: { ...plugin, env: "s3cret" } }, { s3cretless: "s3cret" }]) {
      assert.notMatch(refusal({ user }), /s3cret\b/)
    }
  })
})

/** Runs with files in a folder, and with an environment in which `KUBECONFIG` names some of them. */
const inFolder = <A, E>(
  files: Readonly<Record<string, unknown>>,
  use: (folder: string) => Effect.Effect<A, E>,
  variables: Readonly<Record<string, string>> = {}
): Effect.Effect<A, E> =>
  Effect.acquireUseRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "kubelock-kubeconfig-"))),
    (folder) => {
      for (const [name, content] of Object.entries(files)) {
        writeFileSync(join(folder, name), typeof content === "string" ? content : JSON.stringify(content))
      }
      const paths = variables["KUBECONFIG"]?.split(":").map((name) => (name === "" ? "" : join(folder, name)))
      return Effect.provideService(use(folder), Environment, {
        variables: { ...variables, ...(paths === undefined ? {} : { KUBECONFIG: paths.join(delimiter) }) },
        home: folder,
        serviceAccount: folder
      })
    },
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
  )

const inPod = { token: "t\n", "ca.crt": "ca", namespace: "pods\n" }
const podVariables = { KUBERNETES_SERVICE_HOST: "fd00::1", KUBERNETES_SERVICE_PORT: "6443" }

describe("several kubeconfigs", () => {
  it.effect("give the first current context, and the first entry of each name", () =>
    inFolder(
      {
        a: { "current-context": "x", users: [{ name: "u", user: { token: "first" } }] },
        b: document({ user: { token: "second" }, context: { namespace: "theirs" }, top: { "current-context": "y" } })
      },
      () =>
        Effect.map(FindTarget.inFiles({}), ({ cluster, namespace, user }) =>
          assert.deepStrictEqual([user.token, cluster.server, namespace], ["first", "https://c.example", "theirs"])
        ),
      { KUBECONFIG: "a:b" }
    )
  )

  it.effect("may be missing or empty", () =>
    inFolder(
      { empty: "", comment: "# nothing\n", a: document({}) },
      () => Effect.map(FindTarget.inFiles({}), ({ context }) => assert.strictEqual(context, "x")),
      { KUBECONFIG: "missing::empty:comment:a:a" }
    )
  )

  it.effect("fail if one of them cannot be read, without quoting it", () =>
    inFolder(
      { a: document({}), b: "users:\n- token: 's3cret\n" },
      (folder) =>
        Effect.map(Effect.flip(FindTarget.inFiles({})), ({ message }) => {
          assert.include(message, `${join(folder, "b")} is not YAML (MISSING_CHAR in line 3)`)
          assert.notInclude(message, "s3cret")
        }),
      { KUBECONFIG: "a:b" }
    )
  )
})

describe("without a kubeconfig", () => {
  it.effect("the service account of the pod is used", () =>
    inFolder(
      inPod,
      (folder) =>
        Effect.map(FindTarget.inFiles({}), ({ cluster, namespace, user }) => {
          assert.deepStrictEqual(cluster, {
            server: "https://[fd00::1]:6443",
            "certificate-authority": join(folder, "ca.crt")
          })
          assert.deepStrictEqual(user, { tokenFile: join(folder, "token") })
          assert.strictEqual(namespace, "pods")
        }),
      podVariables
    )
  )

  it.effect("the error says where one was looked for", () =>
    inFolder({}, (folder) =>
      Effect.map(Effect.flip(FindTarget.inFiles({})), ({ message }) => {
        assert.include(message, "none was found. KUBECONFIG is not set, which means")
        assert.include(message, join(folder, ".kube", "config"))
        assert.include(message, join(folder, "token"))
        assert.include(message, "KUBERNETES_SERVICE_HOST")
      })
    )
  )

  it.effect("the error says which files KUBECONFIG names", () =>
    inFolder(
      {},
      (folder) =>
        Effect.map(Effect.flip(FindTarget.inFiles({})), ({ message }) =>
          assert.include(message, `KUBECONFIG names ${join(folder, "a")} and ${join(folder, "b")}`)
        ),
      { KUBECONFIG: "a:b" }
    )
  )

  it.effect("that was asked for by name, nothing else is looked for", () =>
    inFolder(
      inPod,
      (folder) =>
        Effect.map(Effect.flip(FindTarget.inFiles({ file: join(folder, "a") })), ({ message }) =>
          assert.include(message, `${join(folder, "a")} does not exist`)
        ),
      podVariables
    )
  )
})

describe("in a pod with a kubeconfig", () => {
  it.effect("the kubeconfig is used, with the namespace of the pod if it has none", () =>
    inFolder(
      { ...inPod, a: document({}) },
      () =>
        Effect.map(FindTarget.inFiles({}), ({ cluster, namespace }) =>
          assert.deepStrictEqual([cluster.server, namespace], ["https://c.example", "pods"])
        ),
      { ...podVariables, KUBECONFIG: "a" }
    )
  )

  it.effect("that has no current context, the service account is used", () =>
    inFolder(
      { ...inPod, a: document({ top: { "current-context": "" } }) },
      () =>
        Effect.map(FindTarget.inFiles({}), ({ namespace, user }) => {
          assert.isDefined(user.tokenFile)
          assert.strictEqual(namespace, "downward")
        }),
      { ...podVariables, KUBECONFIG: "a", POD_NAMESPACE: "downward" }
    )
  )
})
