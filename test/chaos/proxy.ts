/**
 * A TCP proxy on loopback, between a holder and the API server or between two servers. A test sets how it misbehaves.
 *
 * **Details**
 *
 * - `Open`: passes everything on.
 * - `Cut`: resets the open connections and every new one.
 * - `Slow`: passes everything on, `millis` later.
 * - `Blackhole`: drops the bytes of both sides. When this mode ends, it resets the connections that lost bytes.
 * - `LoseAnswers`: delivers requests and drops answers.
 * - `HoldBack`: delivers nothing until this mode ends, and then everything, also from a side that has closed its
 *   connection meanwhile. TCP does that after a partition.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"

export type Mode =
  | { readonly _tag: "Open" | "Cut" | "Blackhole" | "LoseAnswers" | "HoldBack" }
  | { readonly _tag: "Slow"; readonly millis: number }

/** `set` changes the mode of all connections. With `source` it changes only that of connections from there. */
export interface Proxy {
  readonly port: number
  readonly set: (mode: Mode, source?: string) => Effect.Effect<void>
}

/** Tells where a connection is from by the first bytes that come over it. */
export type SourceOf = (first: Uint8Array) => string | undefined

/** `listenOn` is an address of this machine, by default that of the loopback interface. */
export interface Options {
  readonly sourceOf?: SourceOf | undefined
  readonly listenOn?: string | undefined
}

/** Starts a proxy to a port of this machine. */
export const make = (
  target: number,
  { listenOn = "127.0.0.1", sourceOf = () => undefined }: Options = {}
): Effect.Effect<Proxy, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<Relay>((resume) => {
        const relay = new Relay(target, sourceOf)
        relay.server.listen(0, listenOn, () => resume(Effect.succeed(relay)))
      }),
      (relay) => Effect.sync(() => relay.close())
    ),
    (relay) => ({
      port: (relay.server.address() as Net.AddressInfo).port,
      set: (mode, source) => Effect.sync(() => relay.set(mode, source))
    })
  )

class Relay {
  readonly server: Net.Server
  readonly #links = new Set<Link>()
  readonly #ofSource = new Map<string, Mode>()
  #mode: Mode = { _tag: "Open" }

  constructor(target: number, sourceOf: SourceOf) {
    this.server = Net.createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
      if (this.#mode._tag === "Cut") {
        client.on("error", ignore).resetAndDestroy()
        return
      }
      const upstream = Net.connect({ host: "127.0.0.1", port: target, allowHalfOpen: true, noDelay: true })
      const link = new Link(client, upstream, sourceOf, ({ source }) => this.#modeOf(source))
      this.#links.add(link)
      link.closed = () => this.#links.delete(link)
    })
  }

  #modeOf(source: string | undefined): Mode {
    return (source === undefined ? undefined : this.#ofSource.get(source)) ?? this.#mode
  }

  set(mode: Mode, source?: string): void {
    if (source !== undefined) {
      this.#ofSource.set(source, mode)
    } else {
      this.#ofSource.clear()
      this.#mode = mode
    }
    for (const link of this.#links) {
      if (source !== undefined && link.source !== source) continue
      if (mode._tag === "Cut" || (link.damaged && !isLossy(mode))) link.reset()
      else link.pump()
    }
  }

  close(): void {
    this.server.close()
    for (const link of this.#links) link.reset()
  }
}

/** A connection of the holder, and the one to the server that belongs to it. */
class Link {
  damaged = false
  source: string | undefined
  closed: () => void = ignore
  readonly #flows: readonly [Flow, Flow]

  constructor(client: Net.Socket, upstream: Net.Socket, sourceOf: SourceOf, modeOf: (link: Link) => Mode) {
    const mode = () => modeOf(this)
    client.once("data", (first) => {
      this.source = sourceOf(first)
    })
    const damage = () => {
      this.damaged = true
    }
    this.#flows = [
      new Flow(client, upstream, "request", mode, damage),
      new Flow(upstream, client, "answer", mode, damage)
    ]
    for (const socket of [client, upstream]) {
      // a side that resets its connection has said what it has said: that is still delivered
      socket.on("error", ignore)
      socket.on("close", () => {
        if (client.destroyed && upstream.destroyed) this.closed()
      })
    }
  }

  pump(): void {
    for (const flow of this.#flows) flow.pump()
  }

  reset(): void {
    for (const flow of this.#flows) flow.reset()
  }
}

type Piece = { readonly data: Uint8Array | "end"; readonly due: number }

/** One direction of a connection. */
class Flow {
  readonly #from: Net.Socket
  readonly #to: Net.Socket
  readonly #kind: "request" | "answer"
  readonly #mode: () => Mode
  readonly #damage: () => void
  readonly #waiting: Array<Piece> = []
  #ended = false

  constructor(from: Net.Socket, to: Net.Socket, kind: "request" | "answer", mode: () => Mode, damage: () => void) {
    this.#from = from
    this.#to = to
    this.#kind = kind
    this.#mode = mode
    this.#damage = damage
    from.on("data", (data) => this.#take(data))
    from.on("close", () => this.#take("end"))
    from.on("end", () => this.#take("end"))
  }

  pump(): void {
    const mode = this.#mode()
    if (mode._tag === "HoldBack") return
    const now = performance.now()
    while (this.#waiting.length > 0 && this.#waiting[0]!.due <= now) {
      const { data } = this.#waiting.shift()!
      if (this.#to.destroyed) continue
      if (mode._tag === "Blackhole" || (mode._tag === "LoseAnswers" && this.#kind === "answer")) this.#damage()
      else if (data === "end") this.#to.end()
      else this.#to.write(data)
    }
    if (this.#waiting.length > 0) setTimeout(() => this.pump(), this.#waiting[0]!.due - now)
  }

  reset(): void {
    this.#waiting.length = 0
    reset(this.#from)
  }

  #take(data: Uint8Array | "end"): void {
    if (this.#ended) return
    this.#ended = data === "end"
    const mode = this.#mode()
    this.#waiting.push({ data, due: performance.now() + (mode._tag === "Slow" ? mode.millis : 0) })
    this.pump()
  }
}

/**
 * Resets a connection. While the end of its own side is being sent, Node.js cannot, and would keep it open for good: the process
 * would not end.
 */
export const reset = (socket: Net.Socket): void => {
  if (socket.writableEnded && !socket.writableFinished) socket.destroy()
  else socket.resetAndDestroy()
}

const isLossy = (mode: Mode): boolean => mode._tag === "Blackhole" || mode._tag === "LoseAnswers"

const ignore = () => {}
