/**
 * Free TCP ports on the loopback interface.
 *
 * They are below the range that the system uses for outgoing connections (32768 and up on Linux, 49152 elsewhere). So no
 * client takes the port of a server that restarts, and no client connects to itself.
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Net from "node:net"

/** A port that no process listens on now. */
export const free: Effect.Effect<number> = Effect.gen(function* () {
  while (true) {
    const port = yield* Random.nextIntBetween(20_000, 29_999)
    if (yield* isFree(port)) return port
  }
})

const isFree = (port: number): Effect.Effect<boolean> =>
  Effect.callback((resume) => {
    const server = Net.createServer()
    server.once("error", () => resume(Effect.succeed(false)))
    server.listen({ host: "127.0.0.1", port, exclusive: true }, () => server.close(() => resume(Effect.succeed(true))))
  })
