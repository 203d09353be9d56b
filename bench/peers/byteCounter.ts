/** A TCP proxy that counts the bytes of both directions, as they are on the wire: TLS and HTTP included. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type AddressInfo, connect, createServer, type Socket } from "node:net"

/** The proxy. */
export interface ByteCounter {
  readonly port: number
  readonly bytes: () => number
}

/** Starts a proxy to a port of this machine. */
export const make = (target: number): Effect.Effect<ByteCounter, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<ByteCounter & { readonly close: () => void }>((resume) => {
      let bytes = 0
      const sockets = new Set<Socket>()
      const count = (chunk: Buffer) => {
        bytes += chunk.length
      }
      const server = createServer({ noDelay: true }, (near) => {
        const far = connect({ port: target, host: "127.0.0.1", noDelay: true })
        for (const [from, to] of [
          [near, far],
          [far, near]
        ] as const) {
          sockets.add(from)
          from.on("data", count)
          from.on("error", () => to.destroy())
          from.on("close", () => sockets.delete(from))
          from.pipe(to)
        }
      })
      server.listen(0, "127.0.0.1", () =>
        resume(
          Effect.succeed({
            port: (server.address() as AddressInfo).port,
            bytes: () => bytes,
            close: () => {
              server.close()
              for (const socket of sockets) socket.destroy()
            }
          })
        )
      )
    }),
    ({ close }) => Effect.sync(close)
  )
