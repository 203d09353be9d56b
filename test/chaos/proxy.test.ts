import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Net from "node:net"
import * as Proxy from "./proxy.ts"

/** A server behind a proxy, and a connection through the proxy. The server answers what it hears, in capitals. */
const world = Effect.gen(function* () {
  const heard: Array<string> = []
  const server = yield* Effect.acquireRelease(
    Effect.callback<Net.Server>((resume) => {
      const server = Net.createServer((socket) => {
        socket.on("error", () => {})
        socket.on("data", (data) => {
          heard.push(String(data))
          socket.write(String(data).toUpperCase())
        })
      })
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => server.close())
  )
  const proxy = yield* Proxy.make((server.address() as Net.AddressInfo).port, { sourceOf: (first) => String(first)[0] })
  const connect = Effect.acquireRelease(
    Effect.sync(() => {
      const received: Array<string> = []
      const socket = Net.connect(proxy.port, "127.0.0.1")
      socket.on("data", (data) => received.push(String(data)))
      socket.on("error", (error) => received.push((error as NodeJS.ErrnoException).code ?? "error"))
      return { received, socket }
    }),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )
  return { heard, proxy, connect, ...(yield* connect) }
})

const until = (condition: () => boolean) => Effect.sleep("2 millis").pipe(Effect.repeat({ until: condition }))

/** Many rounds of the event loop. What was sent arrives meanwhile, also on a busy machine. */
const aWhile = Effect.sleep("2 millis").pipe(Effect.repeat({ times: 25 }))

describe("the proxy", () => {
  it.live("passes on bytes, and the end of each side", () =>
    Effect.gen(function* () {
      const { heard, socket, received } = yield* world
      socket.write("a")
      yield* until(() => received[0] === "A")
      socket.end()
      yield* until(() => socket.closed)
      assert.deepStrictEqual(heard, ["a"])
    })
  )

  it.live("cuts open connections and new ones", () =>
    Effect.gen(function* () {
      const { connect, proxy, socket, received } = yield* world
      socket.write("a")
      yield* until(() => received[0] === "A")
      yield* proxy.set({ _tag: "Cut" })
      yield* until(() => received[1] === "ECONNRESET")
      const another = yield* connect
      yield* until(() => another.received[0] === "ECONNRESET")
      yield* proxy.set({ _tag: "Open" })
      const third = yield* connect
      third.socket.write("c")
      yield* until(() => third.received[0] === "C")
    })
  )

  it.live("drops the bytes of both sides, and then resets the connections that lost some", () =>
    Effect.gen(function* () {
      const { heard, proxy, socket, received } = yield* world
      yield* proxy.set({ _tag: "Blackhole" })
      socket.write("a")
      yield* aWhile
      assert.deepStrictEqual([heard, received], [[], []])
      yield* proxy.set({ _tag: "Open" })
      yield* until(() => received[0] === "ECONNRESET")
    })
  )

  it.live("drops only the answers", () =>
    Effect.gen(function* () {
      const { heard, proxy, socket, received } = yield* world
      yield* proxy.set({ _tag: "LoseAnswers" })
      socket.write("a")
      yield* until(() => heard[0] === "a")
      yield* aWhile
      assert.deepStrictEqual(received, [])
    })
  )

  it.live("holds bytes back, and later delivers them, also those of a side that has closed its connection", () =>
    Effect.gen(function* () {
      const { connect, heard, proxy, socket, received } = yield* world
      yield* proxy.set({ _tag: "HoldBack" })
      socket.write("a")
      const gone = yield* connect
      gone.socket.write("b")
      yield* aWhile
      gone.socket.destroy()
      yield* aWhile
      assert.deepStrictEqual(heard, [])
      yield* proxy.set({ _tag: "Open" })
      yield* until(() => received[0] === "A" && heard.includes("b"))
    })
  )

  it.live("drops what comes from one source, and passes on the rest", () =>
    Effect.gen(function* () {
      const { connect, heard, proxy, socket, received } = yield* world
      yield* proxy.set({ _tag: "Blackhole" }, "a")
      socket.write("a")
      const other = yield* connect
      other.socket.write("b")
      yield* until(() => other.received[0] === "B")
      yield* aWhile
      assert.deepStrictEqual([heard, received], [["b"], []])
      yield* proxy.set({ _tag: "Open" }, "a")
      yield* until(() => received[0] === "ECONNRESET")
      other.socket.write("b")
      yield* until(() => other.received[1] === "B")
    })
  )

  it.live("delays both directions", () =>
    Effect.gen(function* () {
      const { proxy, socket, received } = yield* world
      yield* proxy.set({ _tag: "Slow", millis: 60 })
      const began = performance.now()
      socket.write("a")
      yield* until(() => received[0] === "A")
      assert.isAtLeast(performance.now() - began, 115)
    })
  )

  it.live("resets a connection in the moment in which it ends", () =>
    Effect.gen(function* () {
      const { socket } = yield* world
      const closed = new Promise((resolve) => socket.once("close", resolve))
      socket.end()
      process.nextTick(() => Proxy.reset(socket))
      yield* Effect.promise(() => closed)
    })
  )
})
