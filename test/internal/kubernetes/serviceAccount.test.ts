/** A lock that is held in a pod, while the kubelet rotates the token of its service account. */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createServer } from "node:tls"
import { Environment } from "../../../src/internal/kubernetes/environment.ts"
import * as KubernetesClient from "../../../src/KubernetesClient.ts"
import * as Lock from "../../../src/Lock.ts"
import * as LockPolicy from "../../../src/LockPolicy.ts"
import * as ObjectStoreKubernetes from "../../../src/ObjectStoreKubernetes.ts"
import * as Resource from "../../../src/Resource.ts"
import * as Certificates from "../../../src/testing/envtest/Certificates.ts"
import { ApiServer } from "../../../src/testing/index.ts"
import * as TlsServer from "../../utils/tlsServer.ts"

/** A volume with a token, as the kubelet writes it: the files are links into a folder, and another folder takes its place at once. */
const volume = (files: Readonly<Record<string, string>>) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "kubelock-pod-"))),
      (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
    ),
    (folder) => {
      const rotate = (token: string) => {
        mkdirSync(join(folder, `..${token}`))
        writeFileSync(join(folder, `..${token}`, "token"), token)
        symlinkSync(`..${token}`, join(folder, "..data_tmp"))
        renameSync(join(folder, "..data_tmp"), join(folder, "..data"))
      }
      for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
      symlinkSync("..data/token", join(folder, "token"))
      return { folder, rotate }
    }
  )

it.live("a lock in a pod is held on while its token is rotated, at the price of one request that is refused", () =>
  Effect.gen(function* () {
    const server = yield* ApiServer.ApiServer
    const authority = yield* Certificates.makeAuthority
    const port = yield* TlsServer.listening(
      createServer(yield* authority.serving, (socket) => {
        const upstream = connect(Number(new URL(server.url).port), "127.0.0.1")
        socket.pipe(upstream).pipe(socket)
        upstream.on("error", () => socket.destroy())
        socket.on("error", () => upstream.destroy())
      })
    )
    const { folder, rotate } = yield* volume({ namespace: "default", "ca.crt": authority.ca.cert })
    rotate("first")

    const locks = Lock.layer({ policy: LockPolicy.make({ ttl: "10 seconds", renewEvery: "100 millis" }) }).pipe(
      Layer.provide(ObjectStoreKubernetes.layer({ resource: Resource.configMap })),
      Layer.provide(KubernetesClient.layerKubeConfig())
    )
    const environment = {
      variables: { KUBERNETES_SERVICE_HOST: "127.0.0.1", KUBERNETES_SERVICE_PORT: String(port) },
      home: folder,
      serviceAccount: folder
    }
    // From the first one that was refused.
    const answers = Effect.map(server.requests, (requests) => {
      const statuses = requests.map(({ status }) => status)
      return statuses.slice(statuses.indexOf(401)).filter((status) => status !== undefined)
    })
    yield* Effect.gen(function* () {
      const held = yield* Lock.scoped("rotated")
      for (const token of ["second", "third"]) {
        yield* server.clearRequests
        rotate(token)
        yield* server.setToken(token)
        const seen = yield* Effect.repeat(Effect.delay(answers, "10 millis"), {
          until: ([first, ...others]) => first === 401 && others.length >= 3
        })
        assert.deepStrictEqual(seen.slice(0, 4), [401, 200, 200, 200])
        assert.isTrue(yield* held.isValid)
      }
    }).pipe(Effect.scoped, Effect.provide(locks, { local: true }), Effect.provideService(Environment, environment))
  }).pipe(Effect.scoped, Effect.provide(ApiServer.layer({ token: "first" })))
)
