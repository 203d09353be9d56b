/**
 * Pooled connections, replaced as a whole when the way to connect changes.
 *
 * Requests are short and many: a few connections of HTTP/1.1 serve them, at less cost for each than HTTP/2. Watches last,
 * one for each lock that is waited for: over HTTP/2 they share connections.
 */
import * as Undici from "@effect/platform-node/Undici"
import type { Connection } from "./credentials.ts"

/** An undici dispatcher that hands requests to the current pools, and lets replaced ones finish what they have begun. */
export class RotatingDispatcher extends Undici.Dispatcher {
  #connection: Connection
  #pools: Pools

  constructor(connection: Connection) {
    super()
    this.#connection = connection
    this.#pools = makePools(connection)
  }

  /** Takes another way to connect; does nothing where it is the same. */
  rotate(connection: Connection): void {
    if (isSame(connection, this.#connection)) return
    const replaced = this.#pools
    this.#connection = connection
    this.#pools = makePools(connection)
    for (const pool of Object.values(replaced)) pool.close().catch(() => pool.destroy())
  }

  override dispatch(options: Undici.Dispatcher.DispatchOptions, handler: Undici.Dispatcher.DispatchHandler): boolean {
    const { requests, watches } = this.#pools
    return (options.path.includes("watch=1") ? watches : requests).dispatch(options, handler)
  }

  override async destroy(): Promise<void> {
    const { requests, watches } = this.#pools
    await Promise.all([requests.destroy(), watches.destroy()])
  }
}

interface Pools {
  readonly requests: Undici.Dispatcher
  readonly watches: Undici.Dispatcher
}

const makePools = (connection: Connection): Pools => ({
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
