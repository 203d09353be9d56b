/**
 * The pooled connections to an API server. All of them are replaced when the way to connect changes.
 *
 * Requests are short and many. A few HTTP/1.1 connections serve them, at a lower cost per request than HTTP/2. Watches
 * are long, and there is one for each lock that a process waits for. They share connections over HTTP/2.
 */
import type * as Undici from "undici/index.js"
import type { Connection } from "./credentials.ts"

/** The connections for requests, and those for watches. */
export interface Connections {
  readonly requests: Undici.Dispatcher
  readonly watches: Undici.Dispatcher
}

/** The current connections. After a replacement, the old connections finish the requests that they have begun. */
export class RotatingConnections implements Connections {
  readonly #undici: typeof Undici
  #connection: Connection
  #current: Connections

  private constructor(undici: typeof Undici, connection: Connection) {
    this.#undici = undici
    this.#connection = connection
    this.#current = connect(undici, connection)
  }

  /** Connects. */
  static async make(connection: Connection): Promise<RotatingConnections> {
    // Not "undici": Bun answers that with a module of its own, whose dispatchers cannot send requests.
    return new RotatingConnections(await import("undici/index.js"), connection)
  }

  get requests(): Undici.Dispatcher {
    return this.#current.requests
  }

  get watches(): Undici.Dispatcher {
    return this.#current.watches
  }

  /** Connects anew if `connection` differs from the current one. */
  rotate(connection: Connection): void {
    if (isSame(connection, this.#connection)) return
    const replaced = this.#current
    this.#connection = connection
    this.#current = connect(this.#undici, connection)
    for (const dispatcher of Object.values(replaced)) dispatcher.close().catch(() => dispatcher.destroy())
  }

  async destroy(): Promise<void> {
    await Promise.all([this.requests.destroy(), this.watches.destroy()])
  }
}

/** How many connections requests use at most. Our choice. */
export const requestConnections = 16

const connect = (undici: typeof Undici, connection: Connection): Connections => ({
  requests: makeDispatcher(undici, connection, { allowH2: false, connections: requestConnections }),
  watches: makeDispatcher(undici, connection, { allowH2: !connection.http1 })
})

const makeDispatcher = (
  undici: typeof Undici,
  { proxy, tls }: Connection,
  options: { readonly allowH2: boolean; readonly connections?: number }
): Undici.Dispatcher => {
  if (proxy === undefined) {
    return new undici.Agent({ ...options, connect: { ...tls, keepAlive: true, keepAliveInitialDelay: 30_000 } })
  }
  // A proxy that is reached by TLS is verified as the server is, as in Go.
  const proxyTls = proxy.startsWith("https:") ? { proxyTls: tls } : {}
  return new undici.ProxyAgent({ ...options, uri: proxy, requestTls: tls, ...proxyTls })
}

const isSame = (a: Connection, b: Connection): boolean => a === b || JSON.stringify(a) === JSON.stringify(b)
