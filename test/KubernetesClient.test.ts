import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { KubeConfig } from "@kubernetes/client-node"
import * as TestClock from "effect/testing/TestClock"
import { createServer } from "node:net"
import * as requests from "../src/internal/kubernetes/encode.ts"
import * as KubernetesClient from "../src/KubernetesClient.ts"
import * as ApiServer from "../src/testing/ApiServer.ts"

/** A kubeconfig, as the JSON that YAML also is. */
const kubeConfig = (parts: {
  readonly cluster?: Readonly<Record<string, unknown>>
  readonly user?: Readonly<Record<string, unknown>>
  readonly context?: string
}) =>
  JSON.stringify({
    clusters: [{ name: "c", cluster: { server: "https://127.0.0.1:1", ...parts.cluster } }],
    users: [{ name: "u", user: parts.user ?? {} }],
    contexts: [{ name: "x", context: { cluster: "c", user: "u", namespace: "ours" } }],
    "current-context": parts.context ?? "x"
  })

const get = (path: string) =>
  Effect.flatMap(KubernetesClient.KubernetesClient, (client) =>
    client.request(requests.get(path), { timeoutMillis: 5000, maxBytes: 1 << 20 })
  )

const plugin = {
  apiVersion: "client.authentication.k8s.io/v1",
  command: "no-such-plugin",
  interactiveMode: "Never"
}

// Aliases of aliases: a few lines that mean a billion.
const bomb = Array.from({ length: 9 }, (_, level) =>
  level === 0
    ? "a0: &a0 [x, x, x, x, x, x, x, x, x]"
    : `a${level}: &a${level} [${Array(9)
        .fill(`*a${level - 1}`)
        .join(", ")}]`
).join("\n")

describe("a kubeconfig that cannot be used", () => {
  const cases: ReadonlyArray<readonly [name: string, yaml: string, detail: string]> = [
    ["is not YAML", "a: [b", "is not YAML"],
    ["is a YAML bomb", bomb, "is not YAML"],
    ["is empty", "", "it has no current-context"],
    ["names no context", kubeConfig({ context: "" }), "it has no current-context"],
    ["names a context that is not there", kubeConfig({ context: "z" }), 'no context "z"'],
    ["has a token for plain http", kubeConfig({ cluster: { server: "http://a" }, user: { token: "t" } }), "plain http"],
    ["has no URL", kubeConfig({ cluster: { server: "nowhere:6443" } }), "is not an https URL"],
    ["has a URL with a password", kubeConfig({ cluster: { server: "https://a:s3cret@b" } }), "belong to the user"],
    [
      "has a certificate file that does not exist",
      kubeConfig({ cluster: { "certificate-authority": "/no/such/file" } }),
      "cannot be read from /no/such/file (ENOENT)"
    ],
    [
      "has a certificate that is none",
      kubeConfig({ cluster: { "certificate-authority-data": "czNjcmV0" } }),
      "contains no certificate"
    ],
    [
      "has a key that is none",
      kubeConfig({ user: { "client-certificate-data": "czNjcmV0", "client-key-data": "czNjcmV0" } }),
      "cannot be used (ERR_OSSL_PEM_NO_START_LINE)"
    ],
    ["has a token that no header can carry", kubeConfig({ user: { token: "s3cret\nb" } }), "control characters"],
    [
      "has a plugin that is not there",
      kubeConfig({ user: { exec: plugin } }),
      "the plugin no-such-plugin was not found"
    ],
    [
      "has an unknown proxy",
      kubeConfig({ cluster: { "proxy-url": "socks4://s3cret@a:1" } }),
      "http, https or socks5 URL"
    ],
    [
      "has a provider that is gone",
      kubeConfig({ user: { "auth-provider": { name: "gcp" } } }),
      'the auth-provider "gcp", which is not supported'
    ]
  ]
  for (const [name, yaml, detail] of cases) {
    it.live(name, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(Layer.build(KubernetesClient.layerKubeConfigYaml(yaml)))
        assert.strictEqual(error._tag, "KubeConfigError")
        assert.include(error.message, detail)
        assert.notMatch(error.message, /\n|s3cret/)
      }).pipe(Effect.scoped)
    )
  }

  it.live("is a file that does not exist", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Layer.build(KubernetesClient.layerKubeConfig({ file: "/no/such/file" })))
      assert.include(error.message, "/no/such/file")
    }).pipe(Effect.scoped)
  )
})

describe("a kubeconfig", () => {
  it.live("gives the namespace of its context", () =>
    Effect.gen(function* () {
      const { namespace, server } = yield* KubernetesClient.KubernetesClient
      assert.deepStrictEqual([server, namespace], ["https://127.0.0.1:1", "ours"])
    }).pipe(Effect.provide(KubernetesClient.layerKubeConfigYaml(kubeConfig({}))))
  )
})

layer(Layer.merge(ApiServer.layer({ token: "first" }), NodeFileSystem.layer), { excludeTestServices: true })(
  "credentials that change",
  (it) => {
    it.effect("are read again after a 401, once", () =>
      Effect.gen(function* () {
        const server = yield* ApiServer.ApiServer
        const files = yield* FileSystem.FileSystem
        const file = yield* files.makeTempFileScoped()
        const write = (token: string) =>
          files.writeFileString(
            file,
            kubeConfig({ cluster: { server: server.url, "insecure-skip-tls-verify": true }, user: { token } })
          )
        yield* write("first")
        yield* Effect.gen(function* () {
          assert.strictEqual((yield* get("/api/v1/namespaces/default/secrets")).status, 200)
          yield* write("second")
          yield* server.setToken("second")
          assert.strictEqual((yield* get("/api/v1/namespaces/default/secrets")).status, 200)
          yield* server.setToken("third")
          yield* server.clearRequests
          assert.strictEqual((yield* get("/api/v1/namespaces/default/secrets")).status, 401)
          assert.lengthOf(yield* server.requests, 2)
        }).pipe(Effect.provide(KubernetesClient.layerKubeConfig({ file })))
      }).pipe(Effect.scoped)
    )
  }
)

/** A server that expects the token "first", and a folder for a kubeconfig whose plugin prints what the file "token" has. */
const withPlugin = Effect.gen(function* () {
  const server = yield* ApiServer.ApiServer
  const files = yield* FileSystem.FileSystem
  const folder = yield* files.makeTempDirectoryScoped()
  const write = (name: string, text: string) => files.writeFileString(`${folder}/${name}`, text)
  const connect = (url: string) =>
    write(
      "config",
      kubeConfig({
        cluster: { server: url, "insecure-skip-tls-verify": true },
        user: { exec: { ...plugin, command: "./plugin" } }
      })
    )
  yield* write(
    "plugin",
    `#!/bin/sh
cd "$(dirname "$0")"
echo >> runs
test -f token || exit 1
echo "{ \\"apiVersion\\": \\"client.authentication.k8s.io/v1\\", \\"kind\\": \\"ExecCredential\\", \\"status\\": { \\"token\\": \\"$(cat token)\\" } }"
`
  )
  yield* files.chmod(`${folder}/plugin`, 0o700)
  yield* write("token", "first")
  yield* connect(server.url)
  return {
    server,
    write,
    connect,
    removeToken: files.remove(`${folder}/token`),
    runs: Effect.map(files.readFileString(`${folder}/runs`), (text) => text.length),
    client: KubernetesClient.layerKubeConfig({ file: `${folder}/config` })
  }
})
const status = Effect.map(get("/api/v1/namespaces/default/secrets"), (response) => response.status)
const embedded = Layer.merge(ApiServer.layer({ token: "first" }), NodeFileSystem.layer)

describe("a plugin", () => {
  it.effect("that fails is run again, after a 401 too, but not more than once a second", () =>
    Effect.gen(function* () {
      const { client, removeToken, runs, server, write } = yield* withPlugin
      yield* Effect.gen(function* () {
        assert.strictEqual(yield* status, 200)
        assert.strictEqual(yield* status, 200)
        assert.strictEqual(yield* runs, 1)
        yield* server.setToken("second")
        yield* removeToken
        assert.include((yield* Effect.flip(status)).message, "failed with exit code 1")
        yield* write("token", "second")
        assert.include((yield* Effect.flip(status)).message, "failed with exit code 1")
        assert.strictEqual(yield* runs, 2)
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* status, 200)
        assert.strictEqual(yield* runs, 3)
      }).pipe(Effect.provide(client))
    }).pipe(Effect.scoped, Effect.provide(embedded))
  )

  it.effect("is run once for all requests that were refused together", () =>
    Effect.gen(function* () {
      const { client, runs, server, write } = yield* withPlugin
      yield* Effect.gen(function* () {
        assert.strictEqual(yield* status, 200)
        yield* server.setToken("second")
        yield* write("token", "second")
        const all = yield* Effect.all(
          Array.from({ length: 30 }, () => status),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(new Set(all), new Set([200]))
        assert.strictEqual(yield* runs, 2)
      }).pipe(Effect.provide(client))
    }).pipe(Effect.scoped, Effect.provide(embedded))
  )

  it.effect("does not get its token to another server, if the kubeconfig names another one by now", () =>
    Effect.gen(function* () {
      const { client, connect, server } = yield* withPlugin
      yield* Effect.gen(function* () {
        assert.strictEqual(yield* status, 200)
        yield* server.setToken("second")
        yield* connect("http://127.0.0.1:1")
        assert.include((yield* Effect.flip(status)).message, 'its server is now "http://127.0.0.1:1"')
      }).pipe(Effect.provide(client))
    }).pipe(Effect.scoped, Effect.provide(embedded))
  )
})

describe("a KubeConfig of @kubernetes/client-node", () => {
  const clientNode = (url: string, token: string) => {
    const config = new KubeConfig()
    config.loadFromString(
      kubeConfig({ cluster: { server: url, "insecure-skip-tls-verify": true }, user: { token, as: "somebody" } })
    )
    return config
  }

  it.live("is looked at again after a 401", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.ApiServer
      const config = clientNode(server.url, "first")
      yield* Effect.gen(function* () {
        const { namespace } = yield* KubernetesClient.KubernetesClient
        assert.strictEqual(namespace, "ours")
        assert.strictEqual(yield* status, 200)
        yield* server.setToken("second")
        config.loadFromString(clientNode(server.url, "second").exportConfig())
        assert.strictEqual(yield* status, 200)
      }).pipe(Effect.provide(KubernetesClient.layer(config)))
    }).pipe(Effect.scoped, Effect.provide(embedded))
  )

  it.live("is loaded again after a 401, if an effect loads it", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.ApiServer
      let token = "first"
      yield* Effect.gen(function* () {
        assert.strictEqual(yield* status, 200)
        token = "second"
        yield* server.setToken(token)
        assert.strictEqual(yield* status, 200)
      }).pipe(Effect.provide(KubernetesClient.layer(Effect.sync(() => clientNode(server.url, token)))))
    }).pipe(Effect.scoped, Effect.provide(embedded))
  )

  it.live("may have an authenticator of its own", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.ApiServer
      const config = clientNode(server.url, "")
      config.addAuthenticator({
        isAuthProvider: (user) => user.authProvider?.name === "ours",
        applyAuthentication: async (_, options) => void (options.headers = { Authorization: "Bearer first" })
      })
      config.users = [{ name: "u", authProvider: { name: "ours", config: {} } }]
      assert.strictEqual(yield* Effect.provide(status, KubernetesClient.layer(config)), 200)
    }).pipe(Effect.scoped, Effect.provide(embedded))
  )
})

describe("connections", () => {
  it.live("stay few, also with many requests", () =>
    Effect.gen(function* () {
      let connections = 0
      const server = yield* Effect.acquireRelease(
        Effect.promise(
          () =>
            new Promise<ReturnType<typeof createServer>>((resolve) => {
              const server = createServer((socket) => {
                connections++
                socket.on("error", () => {})
                socket.on("data", () => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"))
              }).listen(0, "127.0.0.1", () => resolve(server))
            })
        ),
        (server) => Effect.sync(() => server.close())
      )
      const address = server.address() as { readonly port: number }
      const yaml = kubeConfig({
        cluster: { server: `http://127.0.0.1:${address.port}`, "insecure-skip-tls-verify": true }
      })
      yield* Effect.repeat(get("/version"), { times: 50 }).pipe(
        Effect.provide(KubernetesClient.layerKubeConfigYaml(yaml))
      )
      assert.isAtMost(connections, 2)
    }).pipe(Effect.scoped)
  )
})
