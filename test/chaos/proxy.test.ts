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
  const proxy = yield* Proxy.make((server.address() as Net.AddressInfo).port)
  const connect = Effect.acquireRelease(
    Effect.sync(() => {
      const told: Array<string> = []
      const socket = Net.connect(proxy.port, "127.0.0.1")
      socket.on("data", (data) => told.push(String(data)))
      socket.on("error", (error) => told.push((error as NodeJS.ErrnoException).code ?? "error"))
      return { told, socket }
    }),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )
  return { heard, proxy, connect, ...(yield* connect) }
})

const until = (condition: () => boolean) => Effect.sleep("2 millis").pipe(Effect.repeat({ until: condition }))

/** Many turns of the event loop: whatever was sent arrives meanwhile, however busy the machine is. */
const aWhile = Effect.sleep("2 millis").pipe(Effect.repeat({ times: 25 }))

describe("the proxy", () => {
  it.live("passes on bytes, and the end of a side", () =>
    Effect.gen(function* () {
      const { heard, socket, told } = yield* world
      socket.write("a")
      yield* until(() => told[0] === "A")
      socket.end()
      yield* until(() => socket.closed)
      assert.deepStrictEqual(heard, ["a"])
    })
  )

  it.live("cuts open connections and new ones", () =>
    Effect.gen(function* () {
      const { connect, proxy, socket, told } = yield* world
      socket.write("a")
      yield* until(() => told[0] === "A")
      yield* proxy.set({ _tag: "Cut" })
      yield* until(() => told[1] === "ECONNRESET")
      const another = yield* connect
      yield* until(() => another.told[0] === "ECONNRESET")
      yield* proxy.set({ _tag: "Open" })
      const third = yield* connect
      third.socket.write("c")
      yield* until(() => third.told[0] === "C")
    })
  )

  it.live("swallows both sides, and then resets the connections that lost bytes", () =>
    Effect.gen(function* () {
      const { heard, proxy, socket, told } = yield* world
      yield* proxy.set({ _tag: "Blackhole" })
      socket.write("a")
      yield* aWhile
      assert.deepStrictEqual([heard, told], [[], []])
      yield* proxy.set({ _tag: "Open" })
      yield* until(() => told[0] === "ECONNRESET")
    })
  )

  it.live("swallows answers alone", () =>
    Effect.gen(function* () {
      const { heard, proxy, socket, told } = yield* world
      yield* proxy.set({ _tag: "LoseAnswers" })
      socket.write("a")
      yield* until(() => heard[0] === "a")
      yield* aWhile
      assert.deepStrictEqual(told, [])
    })
  )

  it.live("holds back, and then delivers also what came from a side that has gone", () =>
    Effect.gen(function* () {
      const { connect, heard, proxy, socket, told } = yield* world
      yield* proxy.set({ _tag: "HoldBack" })
      socket.write("a")
      const gone = yield* connect
      gone.socket.write("b")
      yield* aWhile
      gone.socket.destroy()
      yield* aWhile
      assert.deepStrictEqual(heard, [])
      yield* proxy.set({ _tag: "Open" })
      yield* until(() => told[0] === "A" && heard.includes("b"))
    })
  )

  it.live("delays each way", () =>
    Effect.gen(function* () {
      const { proxy, socket, told } = yield* world
      yield* proxy.set({ _tag: "Slow", millis: 60 })
      const began = performance.now()
      socket.write("a")
      yield* until(() => told[0] === "A")
      assert.isAtLeast(performance.now() - began, 115)
    })
  )
})
