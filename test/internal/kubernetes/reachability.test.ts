/** A server that cannot be reached is told once; one whose certificate does not verify is a final error, at once. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as TestClock from "effect/testing/TestClock"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as KubernetesClient from "../../../src/KubernetesClient.ts"
import * as Lock from "../../../src/Lock.ts"
import * as ObjectStoreKubernetes from "../../../src/ObjectStoreKubernetes.ts"
import * as Resource from "../../../src/Resource.ts"
import * as Certificates from "../../../src/testing/envtest/Certificates.ts"
import * as TlsServer from "../../utils/tlsServer.ts"

const kubeConfig = (cluster: object) =>
  JSON.stringify({
    clusters: [{ name: "c", cluster }],
    contexts: [{ name: "x", context: { cluster: "c" } }],
    "current-context": "x"
  })

const locking = (client: Layer.Layer<KubernetesClient.KubernetesClient, KubernetesClient.KubeConfigError>) =>
  Lock.layer().pipe(
    Layer.provide(ObjectStoreKubernetes.layer({ resource: Resource.configMap })),
    Layer.provideMerge(client)
  )

describe("a server that cannot be reached", () => {
  it.effect("is told once, at the first failure", () =>
    Effect.gen(function* () {
      const lines: Array<string> = []
      const logger = Logger.make<unknown, void>(({ message }) => void lines.push(String(message)))
      const attempt = yield* Effect.forkChild(
        Effect.flip(Effect.scoped(Lock.scoped("a"))).pipe(
          Effect.provide(locking(KubernetesClient.layerKubeConfigYaml(kubeConfig({ server: "https://127.0.0.1:1" })))),
          Effect.provide(Logger.layer([logger]))
        )
      )
      while (lines.length === 0) yield* Effect.promise(() => new Promise(setImmediate))
      while (attempt.pollUnsafe() === undefined) {
        yield* TestClock.adjust("1 second")
        yield* Effect.promise(() => new Promise(setImmediate))
      }
      const error = yield* Fiber.join(attempt)
      assert.strictEqual(error._tag, "LockUnavailable")
      assert.deepStrictEqual(lines, [
        "The API server https://127.0.0.1:1 cannot be reached: no connection (ECONNREFUSED). Requests are tried again."
      ])
    })
  )
})

describe("a server whose certificate does not verify", () => {
  const servers: ReadonlyArray<readonly [title: string, cluster: (ca: string) => object, detail: string]> = [
    [
      "against the authority of the kubeconfig",
      () => ({}),
      "its certificate is not signed by the certificate authority of the kubeconfig or the pod"
    ],
    [
      "because it is for another name",
      (ca) => ({
        "tls-server-name": "other.example",
        "certificate-authority-data": Buffer.from(ca).toString("base64")
      }),
      "its certificate is for other names"
    ]
  ]
  for (const [title, cluster, detail] of servers) {
    it.effect(`${title} fails at once, and gets no request`, () =>
      Effect.gen(function* () {
        const authority = yield* Certificates.makeAuthority
        const { ca } = yield* Certificates.makeAuthority
        const server = yield* TlsServer.make(authority)
        const other = Buffer.from(ca.cert).toString("base64")
        const yaml = kubeConfig({
          server: server.url,
          "certificate-authority-data": other,
          ...cluster(authority.ca.cert)
        })
        const error = yield* Effect.flip(Effect.scoped(Lock.scoped("a"))).pipe(
          Effect.provide(locking(KubernetesClient.layerKubeConfigYaml(yaml)))
        )
        assert.strictEqual(error._tag, "LockUntrusted")
        assert.include(error.message, detail)
        assert.deepStrictEqual(server.seen, [])
      }).pipe(Effect.scoped)
    )
  }

  it.live("is asked again with the new authority, if there is one", () =>
    Effect.gen(function* () {
      const folder = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "kubelock-authority-"))),
        (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
      )
      const authority = yield* Certificates.makeAuthority
      const old = yield* Certificates.makeAuthority
      const server = yield* TlsServer.make(authority)
      writeFileSync(join(folder, "ca.crt"), old.ca.cert)
      writeFileSync(join(folder, "config"), kubeConfig({ server: server.url, "certificate-authority": "ca.crt" }))
      yield* Effect.gen(function* () {
        const client = yield* KubernetesClient.KubernetesClient
        writeFileSync(join(folder, "ca.crt"), authority.ca.cert)
        const request = { method: "GET", path: "/readyz", headers: {} } as const
        assert.strictEqual((yield* client.request(request, { timeoutMillis: 20_000, maxBytes: 1000 })).status, 200)
      }).pipe(Effect.provide(KubernetesClient.layerKubeConfig({ file: join(folder, "config") })))
    }).pipe(Effect.scoped)
  )
})
