/**
 * A plain TCP balancer on loopback, as a cloud puts it in front of the API servers of a cluster.
 *
 * It looks at no health: connections go to the servers in turn, and to the next one only if a server refuses. What a client
 * has opened stays where it is. A test can choose for it: all watches to one server, for example. kubelock offers `h2` only for
 * its watches, and the list of offers travels in the clear.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"
import { reset } from "./proxy.ts"

/** The place of the server that a connection goes to, or nothing if it goes to the next one. */
export type Choice = (connection: { readonly isWatch: boolean }) => number | undefined

/** `choose` decides for connections from now on. `cut` resets all that are open. */
export interface Balancer {
  readonly port: number
  readonly choose: (choice: Choice) => Effect.Effect<void>
  readonly cut: Effect.Effect<void>
}

/** Starts a balancer to ports of this machine. Without `port` it takes a free one. */
export const make = (targets: ReadonlyArray<number>, port = 0): Effect.Effect<Balancer, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<Relay>((resume) => {
        const relay = new Relay(targets)
        relay.server.listen(port, "127.0.0.1", () => resume(Effect.succeed(relay)))
      }),
      (relay) => Effect.sync(() => relay.close())
    ),
    (relay) => ({
      port: (relay.server.address() as Net.AddressInfo).port,
      choose: (choice) =>
        Effect.sync(() => {
          relay.choice = choice
        }),
      cut: Effect.sync(() => relay.cut())
    })
  )

class Relay {
  readonly server: Net.Server
  choice: Choice = () => undefined
  readonly #targets: ReadonlyArray<number>
  readonly #open = new Set<Net.Socket>()
  #next = 0

  constructor(targets: ReadonlyArray<number>) {
    this.#targets = targets
    this.server = Net.createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
      this.#keep(client)
      client.once("data", (first) => {
        client.pause()
        const chosen = this.choice({ isWatch: first.includes("\u0002h2") }) ?? this.#next++
        this.#connect(client, first, chosen, targets.length)
      })
    })
  }

  cut(): void {
    for (const socket of this.#open) reset(socket)
  }

  close(): void {
    this.server.close()
    this.cut()
  }

  #connect(client: Net.Socket, first: Uint8Array, place: number, attempts: number): void {
    const port = this.#targets[place % this.#targets.length]!
    const upstream = Net.connect({ host: "127.0.0.1", port, allowHalfOpen: true, noDelay: true })
    upstream.once("connect", () => {
      this.#keep(upstream)
      upstream.write(first)
      client.pipe(upstream).pipe(client)
      client.once("close", () => upstream.destroy())
      upstream.once("close", () => client.destroy())
    })
    upstream.once("error", () => {
      if (!upstream.connecting && this.#open.has(upstream)) return
      if (attempts > 1 && !client.destroyed) this.#connect(client, first, place + 1, attempts - 1)
      else reset(client)
    })
  }

  #keep(socket: Net.Socket): void {
    this.#open.add(socket)
    socket.on("error", () => {}).once("close", () => this.#open.delete(socket))
  }
}
