/** Requests and their answers, whole or line by line, against a server that controls every byte that it sends. */
import * as Undici from "undici/index.js"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { createSecureServer } from "node:http2"
import { type AddressInfo, createServer, type Socket } from "node:net"
import { Duplex } from "node:stream"
import * as Certificates from "../../../src/testing/envtest/Certificates.ts"
import * as Timers from "../../../src/internal/time/timers.ts"
import * as transport from "../../../src/internal/kubernetes/http.ts"

type Handler = Required<Undici.Dispatcher.DispatchHandler>

const head = "HTTP/1.1 200 OK\r\nDate: today\r\n"

/** A server that runs `serve` on each connection, and the functions that send it a request. */
const serving = (serve: (socket: Socket, request: string) => void) =>
  Effect.gen(function* () {
    const sockets = new Set<Socket>()
    const server = yield* Effect.acquireRelease(
      Effect.callback<ReturnType<typeof createServer>>((resume) => {
        const server = createServer((socket) => {
          sockets.add(socket)
          socket.on("error", () => {})
          socket.on("data", (data) => serve(socket, data.toString()))
        })
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.sync(() => {
          for (const socket of sockets) socket.destroy()
          server.close()
        })
    )
    const { port } = server.address() as { readonly port: number }
    const agent = (connections?: number) =>
      Effect.acquireRelease(
        Effect.sync(() => new Undici.Agent({ connections: connections ?? null })),
        (agent) => Effect.promise(() => agent.destroy())
      )
    const pools = { requests: yield* agent(1), watches: yield* agent() }
    const { request: send, watch } = transport.make(
      pools,
      { origin: `http://127.0.0.1:${port}`, prefix: "" },
      yield* Timers.make
    )
    const credentials = { Authorization: "Bearer t" }
    const within = (limits: Partial<transport.Limits> = {}) => ({ timeoutMillis: 5000, maxBytes: 1000, ...limits })
    return {
      send: (request: transport.Request, limits?: Partial<transport.Limits>) =>
        send(request, credentials, within(limits)),
      watch: (limits?: Partial<transport.Limits>) => watch(get, credentials, within(limits))
    }
  })

const get: transport.Request = { method: "GET", path: "/path", headers: {} }

const refusal = (serve: (socket: Socket) => void, limits?: Partial<transport.Limits>) =>
  Effect.gen(function* () {
    const { send } = yield* serving(serve)
    const error = yield* Effect.flip(send(get, limits))
    assert.match(error.message, /^No response from the API server: .*\.$/)
    return error.detail
  }).pipe(Effect.scoped)

describe("a request", () => {
  it.live("is sent with its headers and body, and answered as a whole", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const { send } = yield* serving((socket, request) => {
        seen.push(request)
        socket.write(`${head}Content-Length: 6\r\n\r\ngr`)
        setImmediate(() => socket.write("ü\n!"))
      })
      const headers = { "content-type": "application/json-patch+json" }
      const request: transport.Request = { method: "PATCH", path: "/path?a=b", headers, body: "{}" }
      assert.deepStrictEqual(yield* send(request), {
        status: 200,
        headers: { date: "today", "content-length": "6" },
        body: "grü\n!"
      })
      const sent = seen.join()
      assert.include(sent, "PATCH /path?a=b HTTP/1.1")
      assert.include(sent.toLowerCase(), "authorization: bearer t\r\n")
      assert.include(sent, "content-type: application/json-patch+json")
      assert.isTrue(sent.endsWith("\r\n\r\n{}"))
    }).pipe(Effect.scoped)
  )

  it.live("fails if nothing listens", () =>
    Effect.gen(function* () {
      const agent = new Undici.Agent()
      const { request: send } = transport.make(
        { requests: agent, watches: agent },
        { origin: "http://127.0.0.1:1", prefix: "" },
        yield* Timers.make
      )
      const { detail } = yield* Effect.flip(send(get, {}, { timeoutMillis: 5000, maxBytes: 10 }))
      assert.strictEqual(detail, "no connection (ECONNREFUSED)")
      yield* Effect.promise(() => agent.destroy())
    }).pipe(Effect.scoped)
  )

  const dispatchers: ReadonlyArray<readonly [title: string, dispatcher: object]> = [
    ["cannot dispatch", {}],
    [
      "throws",
      {
        dispatch: () => {
          throw new TypeError("s3cret")
        }
      }
    ],
    [
      "fails",
      {
        dispatch: (_: unknown, { onResponseError }: Handler) =>
          onResponseError(undefined as never, new TypeError("s3cret"))
      }
    ],
    [
      "ends before it begins",
      { dispatch: (_: unknown, { onResponseEnd }: Handler) => onResponseEnd(undefined as never, {}) }
    ]
  ]
  for (const [title, dispatcher] of dispatchers) {
    it.live(`fails with a typed error if the dispatcher ${title}`, () =>
      Effect.gen(function* () {
        const agent = dispatcher as Undici.Agent
        const { request: send, watch } = transport.make(
          { requests: agent, watches: agent },
          { origin: "http://127.0.0.1:1", prefix: "" },
          yield* Timers.make
        )
        const limits = { timeoutMillis: 5000, maxBytes: 10 }
        for (const error of [yield* Effect.flip(send(get, {}, limits)), yield* Effect.flip(watch(get, {}, limits))]) {
          assert.strictEqual(error.message, "No response from the API server: the connection failed (TypeError).")
        }
      }).pipe(Effect.scoped)
    )
  }

  it.live("fails if the answer breaks off, before or after its head", () =>
    Effect.gen(function* () {
      assert.match(yield* refusal((socket) => socket.destroy()), /^no connection \(/)
      const half = (socket: Socket) => socket.write(`${head}Content-Length: 9\r\n\r\n{`, () => socket.destroy())
      assert.strictEqual(yield* refusal(half), "the connection broke before the response was complete")
    })
  )

  it.live("is given up if the answer, or only its end, does not come in time", () =>
    Effect.gen(function* () {
      const limits = { timeoutMillis: 30 }
      assert.strictEqual(yield* refusal(() => {}, limits), "no response within 30ms")
      const silent = (socket: Socket) => socket.write(`${head}Content-Length: 9\r\n\r\n{`)
      assert.strictEqual(yield* refusal(silent, limits), "no response within 30ms")
    })
  )

  it.live("is given up if the answer is too large or never ends", () =>
    Effect.gen(function* () {
      const endless = (socket: Socket) => {
        socket.write(`${head}Transfer-Encoding: chunked\r\n\r\n`)
        const more = () => {
          if (!socket.destroyed) socket.write(`100\r\n${"x".repeat(256)}\r\n`, () => setImmediate(more))
        }
        more()
      }
      assert.strictEqual(yield* refusal(endless), "the response is larger than 1000 bytes")
    })
  )

  it.live("can be sent again after it was given up", () =>
    Effect.gen(function* () {
      const bodies = ["x".repeat(2000), "ok"]
      const { send } = yield* serving((socket) => {
        const body = bodies.shift()!
        socket.write(`${head}Content-Length: ${body.length}\r\n\r\n${body}`)
      })
      const { body } = yield* Effect.retry(send(get), { times: 1 })
      assert.strictEqual(body, "ok")
    }).pipe(Effect.scoped)
  )

  it.live("is never sent if it is given up before there is a connection, and then frees its place in the pool", () =>
    Effect.gen(function* () {
      const agent = new Undici.Agent({ connections: 1, connect: (_, done) => void (connected = done) })
      let connected: Parameters<Undici.buildConnector.connector>[1] = () => {}
      const { request: send } = transport.make(
        { requests: agent, watches: agent },
        { origin: "http://127.0.0.1:1", prefix: "" },
        yield* Timers.make
      )
      yield* Effect.flip(send(get, {}, { timeoutMillis: 20, maxBytes: 10 }))
      const interrupted = yield* Effect.forkChild(send(get, {}, { timeoutMillis: 5000, maxBytes: 10 }))
      yield* Effect.sleep("5 millis")
      yield* Fiber.interrupt(interrupted)
      const sent: Array<string> = []
      const socket = new Duplex({ read: () => {}, write: (bytes, _, done) => (sent.push(String(bytes)), done()) })
      connected(null, socket as Socket)
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      const places = Object.values(agent.stats).map(({ pending, running, size }) => [pending, running, size])
      assert.deepStrictEqual({ places, sent }, { places: [[0, 0, 0]], sent: [] })
      yield* Effect.promise(() => agent.destroy())
    }).pipe(Effect.scoped)
  )

  it.live("ends with the fiber that waits for it", () =>
    Effect.gen(function* () {
      const asked = yield* Deferred.make<void>()
      const closed = yield* Deferred.make<void>()
      const { send } = yield* serving((socket) => {
        socket.on("close", () => Deferred.doneUnsafe(closed, Effect.void))
        Deferred.doneUnsafe(asked, Effect.void)
      })
      const asking = yield* Effect.forkChild(send(get))
      yield* Deferred.await(asked)
      yield* Fiber.interrupt(asking)
      yield* Effect.timeout(Deferred.await(closed), "5 seconds")
    }).pipe(Effect.scoped)
  )
})

describe("a watch", () => {
  const chunked = (...parts: ReadonlyArray<string | Uint8Array>) =>
    Buffer.concat(
      parts.flatMap((part) => {
        const bytes = Buffer.from(part as string)
        return [Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from("\r\n")]
      })
    )
  const begin = `${head}Transfer-Encoding: chunked\r\n\r\n`
  const end = "0\r\n\r\n"

  /** The lines that a server sends, and how they ended. */
  const linesOf = (serve: (socket: Socket) => void, limits?: Partial<transport.Limits>) =>
    Effect.gen(function* () {
      const lines: Array<string> = []
      const { watch } = yield* serving(serve)
      const answer = yield* watch(limits)
      if (!("lines" in answer)) return assert.fail("the answer is not a stream of lines")
      const ended = yield* Stream.runForEach(answer.lines, (line) => Effect.sync(() => lines.push(line))).pipe(
        Effect.as("done"),
        Effect.catch(({ detail }) => Effect.succeed(detail))
      )
      return { lines, ended }
    }).pipe(Effect.scoped)

  it.live("arrives line by line, however the bytes are cut, without an incomplete last line", () =>
    Effect.gen(function* () {
      const bytes = Buffer.from("grün\n\nblau\nrot\nhalb")
      const cuts = Array.from(bytes, (_, at) => at)
      for (const cut of [...cuts, -1]) {
        const parts = cut < 1 ? [bytes] : [bytes.subarray(0, cut), bytes.subarray(cut)]
        const answer = yield* linesOf((socket) => {
          socket.write(begin)
          let part = 0
          const more = () => {
            if (part === parts.length) return socket.write(end)
            socket.write(chunked(parts[part++]!), () => setImmediate(more))
            return undefined
          }
          more()
        })
        assert.deepStrictEqual(answer, { lines: ["grün", "blau", "rot"], ended: "done" })
      }
    })
  )

  it.live("fails if it breaks off, or if a line has no end", () =>
    Effect.gen(function* () {
      const broken = yield* linesOf((socket) => {
        socket.write(begin)
        socket.write(chunked("a\nb"), () => setTimeout(() => socket.destroy(), 20))
      })
      assert.deepStrictEqual(broken, { lines: ["a"], ended: "the connection broke before the response was complete" })
      const endless = yield* linesOf(
        (socket) => socket.write(Buffer.concat([Buffer.from(begin), chunked("x".repeat(99))])),
        {
          maxBytes: 98
        }
      )
      assert.deepStrictEqual(endless, { lines: [], ended: "a line is larger than 98 bytes" })
    })
  )

  it.live("leaves out the lines that are skipped, and ends when it has lasted", () =>
    Effect.gen(function* () {
      const answer = yield* linesOf(
        (socket) => socket.write(Buffer.concat([Buffer.from(begin), chunked("a\nb\na\n")])),
        {
          lastsMillis: 300,
          skips: (line) => line === "a"
        }
      )
      assert.deepStrictEqual(answer, { lines: ["b"], ended: "done" })
    })
  )

  it.live("lets the server wait until the lines are consumed", () =>
    Effect.gen(function* () {
      const line = `${"x".repeat(999_999)}\n`
      let sent = 0
      const { watch } = yield* serving((socket) => {
        socket.write(begin)
        const more = (): void => {
          if (sent < 100 && !socket.destroyed) socket.write(chunked(line), () => (sent++, more()))
        }
        more()
      })
      const answer = yield* watch({ maxBytes: line.length })
      if (!("lines" in answer)) return assert.fail("the answer is not a stream of lines")
      yield* Effect.repeat(
        Effect.suspend(() => Effect.as(Effect.sleep("50 millis"), sent)),
        { until: (before) => before === sent }
      )
      assert.isBelow(sent, 50)
      assert.strictEqual(yield* Stream.runCount(Stream.take(answer.lines, 100)), 100)
    }).pipe(Effect.scoped)
  )

  it.live("that is refused is an ordinary answer with the same limits", () =>
    Effect.gen(function* () {
      const refused = "HTTP/1.1 410 Gone\r\nContent-Length: 4\r\n\r\n"
      const { watch } = yield* serving((socket) => socket.write(`${refused}gone`))
      assert.deepInclude(yield* watch(), { status: 410, body: "gone" })
      const slow = yield* serving((socket) => socket.write(refused))
      assert.strictEqual((yield* Effect.flip(slow.watch({ timeoutMillis: 30 }))).detail, "no response within 30ms")
      assert.strictEqual((yield* Effect.flip(watch({ maxBytes: 3 }))).detail, "the response is larger than 3 bytes")
    }).pipe(Effect.scoped)
  )

  it.live("takes no connection from requests", () =>
    Effect.gen(function* () {
      const { send, watch } = yield* serving((socket, request) =>
        socket.write(request.startsWith("GET") ? begin : `${head}Content-Length: 2\r\n\r\nok`)
      )
      yield* watch()
      assert.strictEqual((yield* send({ ...get, method: "DELETE" })).body, "ok")
    }).pipe(Effect.scoped)
  )

  it.live("ends with the scope that it was opened in", () =>
    Effect.gen(function* () {
      const closed = yield* Deferred.make<void>()
      const { watch } = yield* serving((socket) => {
        socket.on("close", () => Deferred.doneUnsafe(closed, Effect.void))
        socket.write(begin)
      })
      const scope = yield* Scope.make()
      yield* Scope.provide(watch(), scope)
      yield* Scope.close(scope, Exit.void)
      yield* Effect.timeout(Deferred.await(closed), "5 seconds")
    }).pipe(Effect.scoped)
  )

  // Otherwise the end of the connection is an uncaught exception, which fails the run.
  it.live("that is interrupted as soon as it is sent leaves nothing behind on a connection over HTTP/2", () =>
    Effect.gen(function* () {
      const { ca, serving } = yield* Certificates.makeAuthority
      const server = createSecureServer(yield* serving)
      server.on("stream", (stream) => {
        stream.on("error", () => {})
        stream.respond()
        stream.write("a\n")
      })
      yield* Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void)))
      const origin = `https://localhost:${(server.address() as AddressInfo).port}`
      const agent = new Undici.Agent({ allowH2: true, connect: { ca: ca.cert } })
      const pools = { requests: agent, watches: agent }
      const { watch } = transport.make(pools, { origin, prefix: "" }, yield* Timers.make)
      const open = Effect.scoped(watch(get, {}, { timeoutMillis: 5000, maxBytes: 1000 }))
      yield* open
      yield* Fiber.interrupt(yield* Effect.forkChild(open, { startImmediately: true }))
      yield* Effect.sleep("100 millis")
      yield* Effect.promise(() => agent.destroy())
      server.close()
    }).pipe(Effect.scoped)
  )
})
