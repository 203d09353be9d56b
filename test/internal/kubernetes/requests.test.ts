/**
 * What arrives at a server for each field of a kubeconfig: the path, the credentials, the identity, the way. If kubectl is
 * installed (Debian: kubernetes-client), it sends the same requests, and what arrives must be the same. If not, that is said.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import { spawn, spawnSync } from "node:child_process"
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as encode from "../../../src/internal/kubernetes/encode.ts"
import { Environment } from "../../../src/internal/kubernetes/environment.ts"
import * as KubernetesClient from "../../../src/KubernetesClient.ts"
import * as Certificates from "../../../src/testing/envtest/Certificates.ts"
import * as TlsServer from "../../utils/tlsServer.ts"

const hasKubectl = spawnSync("kubectl", ["version", "--client"]).status === 0

if (!hasKubectl) {
  process.stderr.write(
    "NOT RUN: the comparison of requests with kubectl's (test/internal/kubernetes/requests.test.ts). Install kubectl (Debian: kubernetes-client).\n"
  )
}

/** A folder with a kubeconfig, a server, and what a test needs to compare both clients. */
const place = Effect.gen(function* () {
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "kubelock-requests-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
  )
  const authority = yield* Certificates.makeAuthority
  let status = 200
  const server = yield* TlsServer.make(authority, { status: () => status })
  const file = (name: string, content: string, mode = 0o600) => {
    writeFileSync(join(folder, name), content, { mode })
    chmodSync(join(folder, name), mode)
  }
  file("ca.crt", authority.ca.cert)

  const configure = (cluster: object, user: object) =>
    file(
      "config",
      JSON.stringify({
        "current-context": "x",
        contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
        clusters: [{ name: "c", cluster: { server: server.url, "certificate-authority": "ca.crt", ...cluster } }],
        users: [{ name: "u", user }]
      })
    )
  const environment = (variables: Readonly<Record<string, string>> = {}) => ({
    variables: { PATH: process.env["PATH"], HOME: folder, KUBECONFIG: join(folder, "config"), ...variables },
    home: folder,
    serviceAccount: folder
  })
  // kubectl may ask for the server's version first.
  const arrived = () =>
    server.seen
      .splice(0)
      .filter(({ url }) => url.endsWith("/readyz?a=b"))
      .map(({ headers, url, user }) => ({
        url,
        user,
        headers: headers
          .filter(([name]) => name === "authorization" || name.startsWith("impersonate-"))
          .map(([name, value]) => `${name}: ${value}`)
          .toSorted()
      }))
  const ours = (variables?: Readonly<Record<string, string>>) =>
    Effect.gen(function* () {
      const client = yield* KubernetesClient.KubernetesClient
      const limits = { timeoutMillis: 20_000, maxBytes: 1000 }
      yield* client.request(encode.get("/readyz?a=b"), limits)
      const [request] = arrived()
      yield* Effect.scoped(client.watch(encode.get("/readyz?a=b"), limits))
      assert.deepStrictEqual(arrived(), [request!], "watches are sent like requests")
      return request!
    }).pipe(
      Effect.provide(KubernetesClient.layerKubeConfig(), { local: true }),
      Effect.provideService(Environment, environment(variables))
    )
  const kubectl = (args: ReadonlyArray<string>, variables?: Readonly<Record<string, string>>) =>
    Effect.callback<void>((resume) => {
      const env = environment(variables).variables
      const child = spawn("kubectl", args, { env, stdio: "ignore" })
      child.on("close", () => resume(Effect.void))
      return Effect.sync(() => child.kill())
    })
  const theirs = (variables?: Readonly<Record<string, string>>) =>
    Effect.gen(function* () {
      yield* kubectl(["get", "--raw", "/readyz?a=b"], variables)
      const [request] = arrived()
      assert.isDefined(request, "kubectl sends a request")
      return request!
    })
  return {
    folder,
    authority,
    server,
    file,
    configure,
    arrived,
    environment,
    setStatus: (code: number) => void (status = code),
    kubectl,
    /** What arrives, the same for both clients. */
    compared: Effect.fnUntraced(function* (variables?: Readonly<Record<string, string>>) {
      const request = yield* ours(variables)
      // Without credentials kubectl asks for a user and a password at the terminal.
      const isAnonymous = request.user === undefined && request.headers.length === 0
      if (hasKubectl && !isAnonymous) {
        assert.deepStrictEqual(request, yield* theirs(variables), "kubectl sends the same")
      }
      return request
    }),
    ours
  }
})

const script = (answer: object) => `#!/bin/sh
printf '%s' "$KUBERNETES_EXEC_INFO" > "$(dirname "$0")/info"
printf '%s' "$GREETING $1" > "$(dirname "$0")/called"
cat <<'END'
${JSON.stringify({ apiVersion: "client.authentication.k8s.io/v1", kind: "ExecCredential", ...answer })}
END
`

const exec = {
  apiVersion: "client.authentication.k8s.io/v1",
  command: "./bin/plugin",
  args: ["login"],
  env: [{ name: "GREETING", value: "hello" }],
  interactiveMode: "Never",
  provideClusterInfo: true
}

describe("a request", () => {
  const cases: ReadonlyArray<readonly [title: string, cluster: object, user: object, headers: Array<string>]> = [
    ["is anonymous without credentials", {}, {}, []],
    [
      "carries the token of a file, without a line end after it",
      {},
      { tokenFile: "token" },
      ["authorization: Bearer filed"]
    ],
    [
      "carries the token of a file rather than another one",
      {},
      { token: "t", tokenFile: "token" },
      ["authorization: Bearer filed"]
    ],
    [
      "carries a user and a password",
      {},
      { username: "ü", password: "p:w" },
      [`authorization: Basic ${Buffer.from("ü:p:w").toString("base64")}`]
    ],
    [
      "carries whom one acts as",
      {},
      {
        token: "t",
        as: "sömebody",
        "as-uid": "7",
        "as-groups": ["one", "two, three"],
        "as-user-extra": { "example.com/scopes": ["a", "b"], reason: ["100%"] }
      },
      [
        "authorization: Bearer t",
        "impersonate-extra-example.com%2fscopes: a",
        "impersonate-extra-example.com%2fscopes: b",
        "impersonate-extra-reason: 100%",
        "impersonate-group: one",
        "impersonate-group: two, three",
        `impersonate-uid: 7`,
        `impersonate-user: ${Buffer.from("sömebody").toString("latin1")}`
      ]
    ],
    ["carries a token rather than what a plugin gives", {}, { token: "t", exec }, ["authorization: Bearer t"]],
    [
      "is sent to a server that is not verified, if it is said so",
      { "certificate-authority": null, "insecure-skip-tls-verify": true },
      { token: "t" },
      ["authorization: Bearer t"]
    ]
  ]
  for (const [title, cluster, user, headers] of cases) {
    it.live(title, () =>
      Effect.gen(function* () {
        const { compared, configure, file } = yield* place
        file("token", "filed\n")
        configure(cluster, user)
        assert.deepStrictEqual(yield* compared(), { url: "/readyz?a=b", user: undefined, headers })
      }).pipe(Effect.scoped)
    )
  }

  it.live("carries a token without the line end after it, which kubectl refuses", () =>
    Effect.gen(function* () {
      const { configure, ours } = yield* place
      configure({}, { token: "t\n" })
      assert.deepStrictEqual((yield* ours()).headers, ["authorization: Bearer t"])
    }).pipe(Effect.scoped)
  )

  it.live("goes to the path of the server's URL, without its query", () =>
    Effect.gen(function* () {
      const { configure, kubectl, ours, server } = yield* place
      configure({ server: `${server.url}/k8s/clusters/c-m-abcdefgh?x=y` }, { token: "t" })
      assert.strictEqual((yield* ours()).url, "/k8s/clusters/c-m-abcdefgh/readyz?a=b")
      if (!hasKubectl) return
      // `kubectl get --raw` replaces the path.
      yield* kubectl(["version"])
      assert.deepStrictEqual(
        [...new Set(server.seen.map(({ url }) => url.replace(/\/version.*/, "")))],
        ["/k8s/clusters/c-m-abcdefgh"]
      )
    }).pipe(Effect.scoped)
  )

  it.live("has the client's certificate", () =>
    Effect.gen(function* () {
      const { authority, compared, configure, file } = yield* place
      const { cert, key } = yield* authority.client({ name: "somebody" })
      file("u.crt", cert)
      configure({}, { "client-certificate": "u.crt", "client-key-data": Buffer.from(key).toString("base64") })
      assert.strictEqual((yield* compared()).user, "somebody")
    }).pipe(Effect.scoped)
  )

  it.live("goes through the proxy of the cluster, to a name that only the proxy knows", () =>
    Effect.gen(function* () {
      const { compared, configure, server } = yield* place
      const proxy = yield* TlsServer.makeProxy(server.port)
      configure(
        {
          server: "https://kubernetes.invalid:6443",
          "tls-server-name": "localhost",
          "proxy-url": proxy.url.replace("//", "//me:p%40ss@")
        },
        { token: "t" }
      )
      yield* compared()
      const authorization = `Basic ${Buffer.from("me:p@ss").toString("base64")}`
      assert.isAbove(proxy.asked.length, 1)
      for (const asked of proxy.asked) {
        assert.deepStrictEqual(asked, { target: "kubernetes.invalid:6443", authorization })
      }
    }).pipe(Effect.scoped)
  )

  it.live("goes through a SOCKS5 proxy", () =>
    Effect.gen(function* () {
      const { compared, configure, server } = yield* place
      const proxy = yield* TlsServer.makeSocksProxy(server.port)
      configure(
        { server: "https://kubernetes.invalid:6443", "tls-server-name": "localhost", "proxy-url": proxy.url },
        { token: "t" }
      )
      yield* compared()
      assert.isAbove(proxy.asked.length, 1)
      for (const asked of proxy.asked) assert.strictEqual(asked, "kubernetes.invalid:6443")
    }).pipe(Effect.scoped)
  )

  it.live("goes through a proxy that is reached by TLS, and is verified as the server is", () =>
    Effect.gen(function* () {
      const { authority, compared, configure, server } = yield* place
      const proxy = yield* TlsServer.makeProxy(server.port, yield* authority.serving)
      configure(
        { server: "https://kubernetes.invalid:6443", "tls-server-name": "localhost", "proxy-url": proxy.url },
        { token: "t" }
      )
      yield* compared()
      assert.isAbove(proxy.asked.length, 1)
    }).pipe(Effect.scoped)
  )

  it.live("goes through the proxy of the environment, unless NO_PROXY excepts the server", () =>
    Effect.gen(function* () {
      const { compared, configure, ours, server } = yield* place
      const proxy = yield* TlsServer.makeProxy(server.port)
      configure({ server: "https://kubernetes.invalid:6443", "tls-server-name": "localhost" }, { token: "t" })
      yield* compared({ HTTPS_PROXY: proxy.url })
      assert.isAbove(proxy.asked.length, 1)
      const { message } = yield* Effect.flip(ours({ HTTPS_PROXY: proxy.url, NO_PROXY: ".invalid" }))
      assert.include(message, "ENOTFOUND")
    }).pipe(Effect.scoped)
  )
})

describe("a plugin", () => {
  it.live("gives a token, and is told the cluster", () =>
    Effect.gen(function* () {
      const { authority, compared, configure, file, folder, ours, server } = yield* place
      mkdirSync(join(folder, "bin"))
      file("bin/plugin", script({ status: { token: "plugged" } }), 0o700)
      const config = { audience: "here" }
      configure({ extensions: [{ name: "client.authentication.k8s.io/exec", extension: config }] }, { exec })
      const info = () => JSON.parse(readFileSync(join(folder, "bin/info"), "utf8")) as unknown
      assert.deepStrictEqual((yield* ours()).headers, ["authorization: Bearer plugged"])
      assert.strictEqual(readFileSync(join(folder, "bin/called"), "utf8"), "hello login")
      const told = info()
      assert.deepStrictEqual(told, {
        apiVersion: exec.apiVersion,
        kind: "ExecCredential",
        spec: {
          interactive: false,
          cluster: {
            server: server.url,
            "certificate-authority-data": Buffer.from(authority.ca.cert).toString("base64"),
            config
          }
        }
      })
      yield* compared()
      assert.deepStrictEqual(info(), told, "kubectl tells it the same")
    }).pipe(Effect.scoped)
  )

  it.live("gives a certificate", () =>
    Effect.gen(function* () {
      const { authority, compared, configure, file, folder } = yield* place
      const { cert, key } = yield* authority.client({ name: "plugged" })
      mkdirSync(join(folder, "bin"))
      file("bin/plugin", script({ status: { clientCertificateData: cert, clientKeyData: key } }), 0o700)
      configure({}, { exec: { ...exec, provideClusterInfo: false } })
      assert.strictEqual((yield* compared()).user, "plugged")
    }).pipe(Effect.scoped)
  )

  const failures: ReadonlyArray<readonly [title: string, script: string, detail: string]> = [
    ["fails", "#!/bin/sh\necho s3cret\nexit 3\n", "failed with exit code 3"],
    ["prints no JSON", "#!/bin/sh\necho s3cret\n", "did not print an ExecCredential in JSON"],
    ["prints no status", script({}), "printed an ExecCredential without status"],
    ["prints an empty status", script({ status: {} }), "printed neither a token nor a certificate"],
    [
      "prints half a pair",
      script({ status: { clientKeyData: "s3cret" } }),
      "printed a certificate or a key, but not both"
    ],
    [
      "prints another version",
      script({ apiVersion: "client.authentication.k8s.io/v1beta1", status: { token: "s3cret" } }),
      'printed an ExecCredential of "client.authentication.k8s.io/v1beta1" instead of client.authentication.k8s.io/v1'
    ],
    [
      "prints an expiry that is none",
      script({ status: { token: "s3cret", expirationTimestamp: "soon" } }),
      "printed an expirationTimestamp that is no time"
    ]
  ]
  for (const [title, text, detail] of failures) {
    it.live(`that ${title} is named in an error, without what it printed`, () =>
      Effect.gen(function* () {
        const { configure, file, folder, ours } = yield* place
        mkdirSync(join(folder, "bin"))
        file("bin/plugin", text, 0o700)
        configure({}, { exec })
        const { message } = yield* Effect.flip(ours())
        assert.include(message, `the plugin ${join(folder, "bin/plugin")} ${detail}`)
        assert.notMatch(message, /s3cret|\n/)
      }).pipe(Effect.scoped)
    )
  }

  it.live("that is not there is named in an error, with the hint how to install it", () =>
    Effect.gen(function* () {
      const { configure, ours } = yield* place
      configure({}, { exec: { ...exec, command: "no-such-plugin", installHint: "brew install\u001b[1m it\n" } })
      const { message } = yield* Effect.flip(ours())
      assert.include(message, "the plugin no-such-plugin was not found (brew install [1m it)")
    }).pipe(Effect.scoped)
  )

  it.live("that needs a terminal is not run without one", () =>
    Effect.gen(function* () {
      const { configure, ours } = yield* place
      configure({}, { exec: { ...exec, interactiveMode: "Always" } })
      assert.include((yield* Effect.flip(ours())).message, "needs a terminal")
    }).pipe(Effect.scoped)
  )
})

describe("in a pod", () => {
  it.effect("the service account is all that it takes; a rotated token is used, and an unreadable one ignored", () =>
    Effect.gen(function* () {
      const { environment, file, folder, server } = yield* place
      file("token", "first\n")
      file("namespace", "ours\n")
      const variables = {
        KUBECONFIG: "",
        KUBERNETES_SERVICE_HOST: "127.0.0.1",
        KUBERNETES_SERVICE_PORT: String(server.port)
      }
      yield* Effect.gen(function* () {
        const client = yield* KubernetesClient.KubernetesClient
        assert.deepStrictEqual([client.server, client.namespace], [`https://127.0.0.1:${server.port}`, "ours"])
        const token = Effect.gen(function* () {
          yield* client.request(encode.get("/readyz"), { timeoutMillis: 20_000, maxBytes: 1000 })
          return server.seen.at(-1)!.headers.find(([name]) => name === "authorization")![1]
        })
        assert.strictEqual(yield* token, "Bearer first")
        file("token", "second\n")
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* token, "Bearer second")
        rmSync(join(folder, "token"))
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* token, "Bearer second")
      }).pipe(
        Effect.provide(KubernetesClient.layerKubeConfig(), { local: true }),
        Effect.provideService(Environment, environment(variables))
      )
    }).pipe(Effect.scoped)
  )
})

describe("a user of OpenID Connect", () => {
  const jwt = (exp: number) =>
    ["{}", JSON.stringify({ exp }), "s"].map((part) => Buffer.from(part).toString("base64url")).join(".")
  const user = (token: string) => ({
    "auth-provider": {
      name: "oidc",
      config: { "idp-issuer-url": "https://issuer.invalid", "client-id": "c", "id-token": token }
    }
  })

  it.live("carries the id-token", () =>
    Effect.gen(function* () {
      const { compared, configure } = yield* place
      const token = jwt(4_000_000_000)
      configure({}, user(token))
      assert.deepStrictEqual((yield* compared()).headers, [`authorization: Bearer ${token}`])
    }).pipe(Effect.scoped)
  )

  it.live("whose id-token has expired, and who has no refresh-token, is told so", () =>
    Effect.gen(function* () {
      const { configure, ours } = yield* place
      configure({}, user(jwt(1)))
      assert.include(
        (yield* Effect.flip(ours())).message,
        'the user "u" has an id-token that has expired, and no refresh-token'
      )
    }).pipe(Effect.scoped)
  )
})
