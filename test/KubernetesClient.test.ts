import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
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

describe("a kubeconfig that cannot be used", () => {
  const cases: ReadonlyArray<readonly [name: string, yaml: string, detail: string]> = [
    ["is not YAML", "a: [b", "unexpected end of the stream"],
    ["is empty", "", "the input is empty"],
    ["names no context", kubeConfig({ context: "" }), 'no cluster for the context ""'],
    ["names a context that is not there", kubeConfig({ context: "z" }), 'no cluster for the context "z"'],
    ["has plain http", kubeConfig({ cluster: { server: "http://127.0.0.1:1" } }), "is not an https URL"],
    ["has no URL", kubeConfig({ cluster: { server: "nowhere" } }), "is not an https URL"],
    [
      "has a certificate file that does not exist",
      kubeConfig({ cluster: { "certificate-authority": "/no/such/file" } }),
      "ENOENT"
    ],
    ["has a plugin that is not there", kubeConfig({ user: { exec: { command: "no-such-plugin" } } }), "ENOENT"],
    ["has a SOCKS proxy", kubeConfig({ cluster: { "proxy-url": "socks5://127.0.0.1:1" } }), "use an HTTP proxy"]
  ]
  for (const [name, yaml, detail] of cases) {
    it.live(name, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(Layer.build(KubernetesClient.layerKubeConfigYaml(yaml)))
        assert.strictEqual(error._tag, "KubeConfigError")
        assert.include(error.message, detail)
        assert.notInclude(error.message, "\n")
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
