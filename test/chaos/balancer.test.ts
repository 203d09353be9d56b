import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Net from "node:net"
import * as Balancer from "./balancer.ts"

/** A server that answers each connection with its name. */
const server = (name: string) =>
  Effect.acquireRelease(
    Effect.callback<Net.Server>((resume) => {
      const server = Net.createServer((socket) => {
        socket.on("error", () => {})
        socket.on("data", () => socket.write(name))
      })
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => server.close())
  )

const portOf = (server: Net.Server) => (server.address() as Net.AddressInfo).port

const world = Effect.gen(function* () {
  const servers = [yield* server("a"), yield* server("b")]
  const balancer = yield* Balancer.make(servers.map(portOf))
  /** What a new connection hears once it has said something. */
  const said = (text = "hello") =>
    Effect.callback<string>((resume) => {
      const socket = Net.connect(balancer.port, "127.0.0.1")
      const answer = (heard: string) => {
        resume(Effect.succeed(heard))
        socket.destroy()
      }
      socket.once("data", (data) => answer(String(data)))
      socket.once("error", (error) => answer((error as NodeJS.ErrnoException).code ?? "error"))
      socket.write(text)
    })
  return { balancer, said, servers }
})

describe("the balancer", () => {
  it.live("sends connections to its servers in turn", () =>
    Effect.gen(function* () {
      const { said } = yield* world
      assert.deepStrictEqual([yield* said(), yield* said(), yield* said()], ["a", "b", "a"])
    })
  )

  it.live("goes on to the next server if one refuses, and resets a connection if all do", () =>
    Effect.gen(function* () {
      const { said, servers } = yield* world
      servers[0]!.close()
      assert.deepStrictEqual([yield* said(), yield* said()], ["b", "b"])
      servers[1]!.close()
      assert.strictEqual(yield* said(), "ECONNRESET")
    })
  )

  it.live("sends watches where it is told: connections that offer HTTP/2", () =>
    Effect.gen(function* () {
      const { balancer, said } = yield* world
      yield* balancer.choose(({ isWatch }) => (isWatch ? 1 : 0))
      const offer = "...\u0002h2\u0008http/1.1"
      assert.deepStrictEqual([yield* said(offer), yield* said(), yield* said(offer)], ["b", "a", "b"])
    })
  )
})
