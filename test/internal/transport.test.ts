/** One request and its whole answer: from a server that says what it likes, byte by byte. */
import * as Undici from "@effect/platform-node/Undici"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import { createServer, type Socket } from "node:net"
import * as alarms from "../../src/internal/alarms.ts"
import * as transport from "../../src/internal/transport.ts"

const head = "HTTP/1.1 200 OK\r\nDate: today\r\n"

/** A server that does with each connection what it is told, and a way to ask it. */
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
    const agent = yield* Effect.acquireRelease(
      Effect.sync(() => new Undici.Agent()),
      (agent) => Effect.promise(() => agent.destroy())
    )
    const ask = transport.make(agent, `http://127.0.0.1:${port}`, yield* alarms.make)
    return (request: HttpClientRequest.HttpClientRequest, bounds: Partial<transport.Bounds> = {}) =>
      ask(request, { Authorization: "Bearer t" }, { millis: 5000, bytes: 1000, ...bounds })
  })

const get = HttpClientRequest.get("/path")

const refusal = (serve: (socket: Socket) => void, bounds?: Partial<transport.Bounds>) =>
  Effect.gen(function* () {
    const ask = yield* serving(serve)
    const error = yield* Effect.flip(ask(get, bounds))
    assert.match(error.message, /^No answer from the API server: .*\.$/)
    return error.detail
  }).pipe(Effect.scoped)

describe("a request", () => {
  it.live("is sent with its headers and body, and answered as a whole", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const ask = yield* serving((socket, request) => {
        seen.push(request)
        socket.write(`${head}Content-Length: 6\r\n\r\ngr`)
        setImmediate(() => socket.write("ü\n!"))
      })
      const request = HttpClientRequest.patch("/path").pipe(
        HttpClientRequest.setUrlParam("a b", "c&d"),
        HttpClientRequest.bodyText("{}", "application/json-patch+json")
      )
      assert.deepStrictEqual(yield* ask(request), {
        status: 200,
        headers: { date: "today", "content-length": "6" },
        body: "grü\n!"
      })
      const sent = seen.join()
      assert.include(sent, "PATCH /path?a+b=c%26d HTTP/1.1")
      assert.include(sent.toLowerCase(), "authorization: bearer t\r\n")
      assert.include(sent, "content-type: application/json-patch+json")
      assert.isTrue(sent.endsWith("\r\n\r\n{}"))
    }).pipe(Effect.scoped)
  )

  it.live("is not sent with a body that would be left out", () =>
    Effect.gen(function* () {
      const ask = yield* serving(() => assert.fail("it was sent"))
      const request = HttpClientRequest.post("/path").pipe(HttpClientRequest.bodyFormData(new FormData()))
      assert.include((yield* Effect.flip(ask(request))).message, "is not sent")
    }).pipe(Effect.scoped)
  )

  it.live("fails where nobody listens", () =>
    Effect.gen(function* () {
      const agent = new Undici.Agent()
      const ask = transport.make(agent, "http://127.0.0.1:1", yield* alarms.make)
      const { detail } = yield* Effect.flip(ask(get, {}, { millis: 5000, bytes: 10 }))
      assert.strictEqual(detail, "no connection (ECONNREFUSED)")
      yield* Effect.promise(() => agent.destroy())
    }).pipe(Effect.scoped)
  )

  it.live("fails with an answer that breaks off, before and after its head", () =>
    Effect.gen(function* () {
      assert.match(yield* refusal((socket) => socket.destroy()), /^no connection \(/)
      const half = (socket: Socket) => socket.write(`${head}Content-Length: 9\r\n\r\n{`, () => socket.destroy())
      assert.strictEqual(yield* refusal(half), "the answer broke off")
    })
  )

  it.live("is given up when there is no answer in time, be it that only its end does not come", () =>
    Effect.gen(function* () {
      const bounds = { millis: 30 }
      assert.strictEqual(yield* refusal(() => {}, bounds), "no answer within 30ms")
      const silent = (socket: Socket) => socket.write(`${head}Content-Length: 9\r\n\r\n{`)
      assert.strictEqual(yield* refusal(silent, bounds), "no answer within 30ms")
    })
  )

  it.live("is given up when the answer is too large, or never ends", () =>
    Effect.gen(function* () {
      const endless = (socket: Socket) => {
        socket.write(`${head}Transfer-Encoding: chunked\r\n\r\n`)
        const more = () => {
          if (!socket.destroyed) socket.write(`100\r\n${"x".repeat(256)}\r\n`, () => setImmediate(more))
        }
        more()
      }
      assert.strictEqual(yield* refusal(endless), "the answer is larger than 1000 bytes")
    })
  )

  it.live("leaves no place taken when it is given up before there is a connection", () =>
    Effect.gen(function* () {
      const agent = new Undici.Agent({ connections: 1, connect: () => {} })
      const ask = transport.make(agent, "http://127.0.0.1:1", yield* alarms.make)
      yield* Effect.flip(ask(get, {}, { millis: 20, bytes: 10 }))
      const interrupted = yield* Effect.forkChild(ask(get, {}, { millis: 5000, bytes: 10 }))
      yield* Effect.sleep("5 millis")
      yield* Fiber.interrupt(interrupted)
      const places = Object.values(agent.stats).map(({ pending, running, size }) => [pending, running, size])
      assert.deepStrictEqual(places, [[0, 0, 0]])
      yield* Effect.promise(() => agent.destroy())
    }).pipe(Effect.scoped)
  )

  it.live("ends with the fiber that waits for it", () =>
    Effect.gen(function* () {
      const asked = yield* Deferred.make<void>()
      const closed = yield* Deferred.make<void>()
      const ask = yield* serving((socket) => {
        socket.on("close", () => Deferred.doneUnsafe(closed, Effect.void))
        Deferred.doneUnsafe(asked, Effect.void)
      })
      const asking = yield* Effect.forkChild(ask(get))
      yield* Deferred.await(asked)
      yield* Fiber.interrupt(asking)
      yield* Effect.timeout(Deferred.await(closed), "5 seconds")
    }).pipe(Effect.scoped)
  )
})
