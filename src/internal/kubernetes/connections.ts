/**
 * Pooled connections, replaced as a whole when the way to connect changes.
 *
 * Requests are short and many: a few connections of HTTP/1.1 serve them, at less cost for each than HTTP/2. Watches last,
 * one for each lock that is waited for: over HTTP/2 they share connections.
 */
import * as Undici from "@effect/platform-node/Undici"
import type { Connection } from "./credentials.ts"

/** The connections for requests, and those for watches. */
export interface Connections {
  readonly requests: Undici.Dispatcher
  readonly watches: Undici.Dispatcher
}

/** The current pools. Replaced ones finish what they have begun. */
export class RotatingConnections implements Connections {
  #connection: Connection
  #pools: Connections

  constructor(connection: Connection) {
    this.#connection = connection
    this.#pools = makePools(connection)
  }

  get requests(): Undici.Dispatcher {
    return this.#pools.requests
  }

  get watches(): Undici.Dispatcher {
    return this.#pools.watches
  }

  /** Takes another way to connect; does nothing where it is the same. */
  rotate(connection: Connection): void {
    if (isSame(connection, this.#connection)) return
    const replaced = this.#pools
    this.#connection = connection
    this.#pools = makePools(connection)
    for (const pool of Object.values(replaced)) pool.close().catch(() => pool.destroy())
  }

  async destroy(): Promise<void> {
    await Promise.all([this.requests.destroy(), this.watches.destroy()])
  }
}

const makePools = (connection: Connection): Connections => ({
  requests: makePool(connection, { allowH2: false, connections: 16 }),
  watches: makePool(connection, { allowH2: true })
})

const makePool = (
  { proxy, tls }: Connection,
  options: { readonly allowH2: boolean; readonly connections?: number }
): Undici.Dispatcher => {
  if (proxy === undefined) {
    return new Undici.Agent({ ...options, connect: { ...tls, keepAlive: true, keepAliveInitialDelay: 30_000 } })
  }
  if (!proxy.startsWith("http")) throw new Error(`the proxy ${proxy} is not supported; use an HTTP proxy`)
  return new Undici.ProxyAgent({ ...options, uri: proxy, requestTls: tls })
}

const isSame = (a: Connection, b: Connection): boolean => a === b || JSON.stringify(a) === JSON.stringify(b)
