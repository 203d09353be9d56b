import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { execFile } from "node:child_process"
import { createServer, type AddressInfo } from "node:net"
import { createServer as createHttpServer } from "node:http"
import { get } from "node:http"
import { fileURLToPath } from "node:url"
import * as ByteCounter from "./byteCounter.ts"
import * as requests from "../../src/cli/bench/harness/requests.ts"
import * as serverCpu from "./serverCpu.ts"
import * as watchEvents from "./watchEvents.ts"

const peers = fileURLToPath(new URL("peers.ts", import.meta.url))

const run = (args: ReadonlyArray<string>) =>
  Effect.callback<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }>((resume) => {
    const { KUBEBUILDER_ASSETS: _, ...env } = process.env
    const child = execFile(process.execPath, [peers, ...args], { env }, (_error, stdout, stderr) =>
      resume(Effect.succeed({ code: child.exitCode, stdout, stderr }))
    )
  })

describe("npm run bench:peers", () => {
  it.live.each([
    [["--quick"], /^error: Kubernetes binaries: KUBEBUILDER_ASSETS is not set$/m],
    [["--page", "no-such-file.json"], /^error: no-such-file\.json: ENOENT/m],
    [["--contenders", "2,65"], /whole numbers from 1 to 64, such as 2,8,32/],
    [["--seconds", "0"], /a number from 0\.5 to 600/],
    [["--quick", "--against", "no-such-folder"], /^error: no-such-folder is not a package of kubelock/m],
    [["--server", "etcd"], /"kube-apiserver" \| "apiextensions-apiserver"/]
  ] as const)("says what is wrong with %s", ([args, message]) =>
    Effect.gen(function* () {
      const { code, stderr } = yield* run(args)
      assert.strictEqual(code, 1)
      assert.match(stderr, message)
      assert.notMatch(stderr, /\n +at /)
    })
  )

  it.live("helps", () =>
    Effect.gen(function* () {
      const { code, stdout } = yield* run(["--help"])
      assert.strictEqual(code, 0)
      for (const flag of ["against", "quick", "seconds", "rounds", "contenders", "server", "json", "page"]) {
        assert.include(stdout, `--${flag}`)
      }
    })
  )
})

describe("counters", () => {
  it.live("count requests of undici and of node:http, and refused writes", () =>
    Effect.gen(function* () {
      const server = createHttpServer((request, response) => {
        response.statusCode = request.url === "/api/conflict" ? 409 : 200
        response.end()
      })
      yield* Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void)))
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
      const before = requests.counted()
      yield* Effect.promise(() => fetch(`${url}/api/conflict`, { method: "PUT" }).then((response) => response.text()))
      yield* Effect.callback<void>((resume) => {
        get(`${url}/api?watch=1`, (response) => response.resume().on("end", () => resume(Effect.void)))
      })
      assert.deepStrictEqual(requests.since(before), { ...requests.none, put: 1, watch: 1, conflicts: 1 })
      server.closeAllConnections()
      server.close()
    })
  )

  it.live("count bytes of both directions", () =>
    Effect.gen(function* () {
      const echo = createServer((socket) => void socket.pipe(socket))
      yield* Effect.callback<void>((resume) => void echo.listen(0, "127.0.0.1", () => resume(Effect.void)))
      const counter = yield* ByteCounter.make((echo.address() as AddressInfo).port)
      yield* Effect.promise(async () => {
        const { connect } = await import("node:net")
        await new Promise<void>((resolve) => {
          const socket = connect(counter.port, "127.0.0.1", () => socket.write("x".repeat(1000)))
          let received = 0
          socket.on("data", (chunk) => {
            received += chunk.length
            if (received === 1000) socket.end(resolve)
          })
        })
      })
      assert.strictEqual(counter.bytes(), 2000)
      echo.close()
    }).pipe(Effect.scoped)
  )

  it("read the CPU time of a process, whatever its name", () => {
    const stat = "17 (a ) b) S 1 17 17 0 -1 4194304 900 0 0 0 250 50 0 0 20 0 9 0 100 1000 200"
    assert.strictEqual(serverCpu.read(stat), 3000)
  })

  it("read watch events out of old and new metrics", () => {
    const metrics = `# TYPE apiserver_watch_events_total counter
apiserver_watch_events_total{group="",kind="ConfigMap",version="v1"} 1
apiserver_watch_events_total{group="dex.coreos.com",kind="RefreshToken",version="v1"} 4
apiserver_watch_events_total{group="dex.coreos.com",resource="refreshtokens",version="v1"} 1.5e+03
apiserver_watch_events_sizes_sum{group="dex.coreos.com",kind="RefreshToken",version="v1"} 900`
    assert.strictEqual(watchEvents.read(metrics), 1504)
  })
})
