/**
 * Free TCP ports on the loopback interface.
 *
 * Chosen below the range that the system takes for outgoing connections (32768 and up on Linux, 49152 elsewhere).
 * So no client takes the port while its server is away for a restart, and none can connect to itself.
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Net from "node:net"

/** One port that nobody listens on at this moment. */
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
