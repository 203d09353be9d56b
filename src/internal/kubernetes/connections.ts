/**
 * The pooled connections to an API server. All of them are replaced when the way to connect changes.
 *
 * A lock can be held for longer than its layer exists: only its own scope ends it, and its release is one request more. So
 * connections that were closed serve on, without a pool: each request opens one and closes it.
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

/** The current connections. After a replacement or `close`, old connections finish the requests that they have begun. */
export class RotatingConnections implements Connections {
  readonly #undici: typeof Undici
  #connection: Connection
  #current: Connections
  #isClosed = false

  private constructor(undici: typeof Undici, connection: Connection) {
    this.#undici = undici
    this.#connection = connection
    this.#current = connect(undici, connection)
  }

  /** Connects. `loading`: undici, if it is being loaded. */
  static async make(connection: Connection, loading = loadUndici()): Promise<RotatingConnections> {
    return new RotatingConnections(await loading, connection)
  }

  get requests(): Undici.Dispatcher {
    return this.#isClosed ? single(connectForRequests(this.#undici, this.#connection)) : this.#current.requests
  }

  get watches(): Undici.Dispatcher {
    return this.#isClosed ? single(connectForWatches(this.#undici, this.#connection)) : this.#current.watches
  }

  /** Connects anew if `connection` differs from the current one. */
  rotate(connection: Connection): void {
    if (isSame(connection, this.#connection)) return
    this.#connection = connection
    if (this.#isClosed) return
    const replaced = this.#current
    this.#current = connect(this.#undici, connection)
    closeAll(replaced)
  }

  /** Keeps no connection from now on. Requests that are under way or yet to come are served all the same. */
  close(): void {
    this.#isClosed = true
    closeAll(this.#current)
  }
}

/** Loads undici. Not "undici": Bun answers that with a module of its own, whose dispatchers cannot send requests. */
export const loadUndici = (): Promise<typeof Undici> => import("undici/index.js")

/** How many connections requests use at most. Our choice. */
export const requestConnections = 20

const connect = (undici: typeof Undici, connection: Connection): Connections => ({
  requests: connectForRequests(undici, connection),
  watches: connectForWatches(undici, connection)
})

const connectForRequests = (undici: typeof Undici, connection: Connection): Undici.Dispatcher =>
  makeDispatcher(undici, connection, { allowH2: false, connections: requestConnections })

const connectForWatches = (undici: typeof Undici, connection: Connection): Undici.Dispatcher =>
  makeDispatcher(undici, connection, { allowH2: !connection.http1 })

const closeAll = ({ requests, watches }: Connections): void => {
  for (const dispatcher of [requests, watches]) dispatcher.close().catch(() => dispatcher.destroy())
}

// Its caller sends one request at once. A dispatcher that closes finishes what it has begun.
const single = (dispatcher: Undici.Dispatcher): Undici.Dispatcher => {
  queueMicrotask(() => dispatcher.close().catch(() => dispatcher.destroy()))
  return dispatcher
}

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

// Two contexts that are made of the same are the same as JSON.
const isSame = (a: Connection, b: Connection): boolean => a === b || JSON.stringify(a) === JSON.stringify(b)
