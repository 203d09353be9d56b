/**
 * nginx in front of an API server, with its defaults: it buffers responses, and talks HTTP/1.0 to the server.
 *
 * It listens on plain HTTP, presents the certificate of one user, and serves the API under a path, as Rancher does. It is the nginx in
 * the path, or that of the environment variable `NGINX`.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { spawnSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import { parse, stringify } from "yaml"
import * as Daemon from "../../src/testing/envtest/Daemon.ts"
import * as Guard from "../../src/testing/envtest/Guard.ts"
import * as Ports from "../../src/testing/envtest/Ports.ts"

const nginx = process.env["NGINX"] ?? "nginx"

export const isInstalled = spawnSync(nginx, ["-v"]).status === 0

interface KubeConfig {
  readonly clusters: readonly [{ readonly cluster: { readonly server: string } }]
  readonly users: readonly [{ readonly user: Readonly<Record<`client-${"certificate" | "key"}-data`, string>> }]
}

/** Starts nginx in front of the server of a kubeconfig, as the user of it. Answers the kubeconfig of the way through nginx. */
export const inFrontOf = Effect.fnUntraced(function* (kubeConfig: string) {
  const {
    clusters: [{ cluster }],
    users: [{ user }]
  } = parse(kubeConfig) as KubeConfig
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "kubelock-nginx-" })
  const guard = yield* Guard.make(directory)
  const port = yield* Ports.free
  const file = (name: string) => Path.join(directory, name)
  const write = (name: string, text: string | Uint8Array) => Effect.sync(() => writeFileSync(file(name), text))
  yield* write("user.crt", Buffer.from(user["client-certificate-data"], "base64"))
  yield* write("user.key", Buffer.from(user["client-key-data"], "base64"))
  const folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
  yield* write(
    "nginx.conf",
    `daemon off;
master_process off;
pid ${file("pid")};
error_log stderr;
events {}
http {
  access_log off;
  ${folders.map((name) => `${name}_temp_path ${file(name)};`).join(" ")}
  server {
    listen 127.0.0.1:${port};
    location ${path}/ {
      proxy_pass ${cluster.server}/;
      proxy_ssl_certificate ${file("user.crt")};
      proxy_ssl_certificate_key ${file("user.key")};
    }
  }
}
`
  )
  const daemon = yield* Daemon.make({
    name: "nginx",
    command: nginx,
    args: ["-p", directory, "-e", "stderr", "-c", file("nginx.conf")],
    guard
  })
  yield* daemon.start
  yield* Effect.sleep("20 millis").pipe(
    Effect.repeat({ until: () => isListening(port) }),
    Effect.raceFirst(daemon.died)
  )
  return stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "nginx", cluster: { server: `http://127.0.0.1:${port}${path}` } }],
    contexts: [{ name: "nginx", context: { cluster: "nginx", namespace: "dex" } }],
    "current-context": "nginx"
  })
}, Effect.provide(NodeServices.layer))

const path = "/k8s/clusters/c-m-abcdefgh"

const isListening = (port: number): Effect.Effect<boolean> =>
  Effect.callback((resume) => {
    const socket = Net.connect(port, "127.0.0.1")
      .once("connect", () => {
        socket.destroy()
        resume(Effect.succeed(true))
      })
      .once("error", () => resume(Effect.succeed(false)))
  })
