/** What the program as it is built brings along, and how little it asks of an API server. */
import { assert, describe, it } from "@effect/vitest"
import { once } from "node:events"
import { readFileSync, writeFileSync } from "node:fs"
import { createServer as createHttpServer, request } from "node:http"
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net"
import { basename, join } from "node:path"
import * as Kubelock from "../utils/kubelock.ts"

const kubelock = Kubelock.forTests()

/** A kubeconfig of the server in which something is replaced. */
const kubeConfig = (name: string, replace: (text: string) => string): string => {
  const file = join(kubelock.folder, name)
  writeFileSync(file, replace(kubelock.server.kubeConfig))
  return file
}

const listen = async (server: Server): Promise<number> => {
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  return (server.address() as AddressInfo).port
}

const joined = (a: Socket, b: Socket) => {
  a.pipe(b).pipe(a)
  for (const socket of [a, b]) socket.on("error", () => [a, b].forEach((each) => each.destroy()))
}

describe("the program", () => {
  it("opens one connection to run a command under a lock that is free", async () => {
    const { host, hostname, port } = new URL(kubelock.server.url)
    let connections = 0
    const relay = createServer((socket) => {
      connections++
      joined(socket, connect(Number(port), hostname))
    })
    const there = await listen(relay)
    const file = kubeConfig("relayed", (text) => text.replaceAll(host, `127.0.0.1:${there}`))
    assert.strictEqual((await kubelock.run(["run", "once", "--", "true"], { env: { KUBECONFIG: file } })).code, 0)
    connections = 0
    assert.strictEqual((await kubelock.run(["run", "once", "--", "true"], { env: { KUBECONFIG: file } })).code, 0)
    assert.strictEqual(connections, 1)
    relay.close()
  })

  it("reaches the server through a proxy", async () => {
    let requests = 0
    const proxy = createHttpServer((incoming, outgoing) => {
      requests++
      const { headers, method, url = "" } = incoming
      const forwarded = request(url, { method, headers }, (response) => {
        outgoing.writeHead(response.statusCode!, response.headers)
        response.pipe(outgoing)
      })
      incoming.pipe(forwarded)
    })
    const port = await listen(proxy)
    const file = kubeConfig("proxied", (text) =>
      text.replace(/( *)server: .*/, `$&\n$1proxy-url: http://127.0.0.1:${port}`)
    )
    const { code, stderr } = await kubelock.run(["run", "proxied", "--", "true"], { env: { KUBECONFIG: file } })
    assert.deepStrictEqual([code, stderr], [0, ""])
    assert.isAtLeast(requests, 3)
    proxy.close()
  })

  it("brings of undici only what it uses, and makes no segmenter before a help text needs one", () => {
    const text = readFileSync(join(kubelock.folder, "dist/cli/program.js"), "utf8")
    for (const unused of ["EventSource", "MockAgent", "CacheStorage"]) assert.notInclude(text, unused)
    assert.notInclude(text, "new Intl.Segmenter")
  })

  it("loads few files to run a command", async () => {
    const loaded = join(kubelock.folder, "loaded.json")
    const preload = join(kubelock.folder, "preload.cjs")
    const told = "JSON.stringify(Object.keys(require.cache))"
    writeFileSync(
      preload,
      `process.on("exit", () => require("node:fs").writeFileSync(${JSON.stringify(loaded)}, ${told}))`
    )
    const env = { NODE_OPTIONS: `--require=${preload}` }
    await kubelock.run(["run", "loaded", "--", "true"], { env })
    const files = JSON.parse(readFileSync(loaded, "utf8")) as ReadonlyArray<string>
    // The last is the library for YAML.
    assert.deepStrictEqual(
      files.map((file) => basename(file)),
      ["preload.cjs", "kubelock.js", "program.js", "rolldown-runtime.js", "dist.js"]
    )
  })
})
