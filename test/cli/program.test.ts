/** What the program as it is built brings along, and how little it asks of an API server. */
import { assert, describe, it } from "@effect/vitest"
import { once } from "node:events"
import { globSync, readFileSync, statSync, writeFileSync } from "node:fs"
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

/** The compiled code that the program has kept. */
const keptIn = (cache: string) => globSync(join(cache, "kubelock/*/*/program.js-*"))

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
    for (const unused of ["EventSource", "MockAgent", "CacheStorage", "setMiloEnabled"]) assert.notInclude(text, unused)
    assert.notInclude(text, "new Intl.Segmenter")
  })

  it("loads few files to run a command, and of Node.js neither HTTP nor zlib", async () => {
    const loaded = join(kubelock.folder, "loaded.json")
    const preload = join(kubelock.folder, "preload.cjs")
    const told = "JSON.stringify([Object.keys(require.cache), process.moduleLoadList])"
    writeFileSync(
      preload,
      `process.on("exit", () => require("node:fs").writeFileSync(${JSON.stringify(loaded)}, ${told}))`
    )
    const env = { NODE_OPTIONS: `--require=${preload}` }
    await kubelock.run(["run", "loaded", "--", "true"], { env })
    const [files, modules] = JSON.parse(readFileSync(loaded, "utf8")) as [ReadonlyArray<string>, ReadonlyArray<string>]
    assert.deepStrictEqual(
      files.map((file) => basename(file)),
      ["preload.cjs", "kubelock.js", "rolldown-runtime.js", "program.js"]
    )
    for (const slow of ["assert", "http", "http2", "zlib"]) assert.notInclude(modules, `NativeModule ${slow}`)
  })

  it("keeps what was compiled while it ran, and uses it from then on", async () => {
    const cache = join(kubelock.folder, "kept")
    const run = async (...args: ReadonlyArray<string>) => {
      const { code, stderr } = await kubelock.run(args, { env: { XDG_CACHE_HOME: cache } })
      assert.deepStrictEqual([code, stderr], [0, ""])
    }
    await run("run", "kept", "--", "true")
    const [file = ""] = keptIn(cache)
    const first = statSync(file)
    await run("run", "kept", "--", "true")
    // One that does not use it replaces it.
    assert.strictEqual(statSync(file).ino, first.ino)
    await run("inspect", "--help")
    const other = keptIn(cache).find((name) => name !== file)
    assert.isAbove(first.size, statSync(other!).size)
  })

  it("keeps nothing for later runs of an invocation that made no sense, or of a help text", async () => {
    const env = { XDG_CACHE_HOME: join(kubelock.folder, "in-vain") }
    assert.strictEqual((await kubelock.run(["run", "-x", "--", "true"], { env })).code, 64)
    assert.isEmpty(keptIn(env.XDG_CACHE_HOME))
    assert.strictEqual((await kubelock.run(["run", "--help"], { env })).code, 0)
    assert.match(keptIn(env.XDG_CACHE_HOME).join(), /^[^,]*\/others\/[^,]*$/)
  })

  it.each<readonly [name: string, damage: (whole: Buffer) => Buffer]>([
    ["cut short", (whole) => whole.subarray(0, 1000)],
    ["empty", () => Buffer.of()],
    ["overwritten", (whole) => Buffer.from(whole).fill(0, 100_000, 101_000)]
  ])("replaces compiled code that is %s", async (name, damage) => {
    const env = { XDG_CACHE_HOME: join(kubelock.folder, `damaged-${name}`) }
    assert.strictEqual((await kubelock.run(["--version"], { env })).code, 0)
    const [file = ""] = keptIn(env.XDG_CACHE_HOME)
    const damaged = damage(readFileSync(file))
    writeFileSync(file, damaged)
    assert.match((await kubelock.run(["--version"], { env })).stdout, /^kubelock \d/)
    assert.isFalse(readFileSync(file).equals(damaged))
  })
})
