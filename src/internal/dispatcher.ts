/** One set of pooled connections, replaced as a whole when the way to connect changes. */
import * as Undici from "@effect/platform-node/Undici"
import type { Connection } from "./credentials.ts"

/** An undici dispatcher that hands requests to the current pool, and lets a replaced pool finish what it has begun. */
export class RotatingDispatcher extends Undici.Dispatcher {
  #connection: Connection
  #pool: Undici.Dispatcher

  constructor(connection: Connection) {
    super()
    this.#connection = connection
    this.#pool = makePool(connection)
  }

  /** Takes another way to connect; does nothing where it is the same. */
  rotate(connection: Connection): void {
    if (isSame(connection, this.#connection)) return
    const replaced = this.#pool
    this.#connection = connection
    this.#pool = makePool(connection)
    replaced.close().catch(() => replaced.destroy())
  }

  override dispatch(options: Undici.Dispatcher.DispatchOptions, handler: Undici.Dispatcher.DispatchHandler): boolean {
    return this.#pool.dispatch(options, handler)
  }

  override destroy(): Promise<void> {
    return this.#pool.destroy()
  }
}

const makePool = ({ proxy, tls }: Connection): Undici.Dispatcher => {
  if (proxy === undefined) {
    return new Undici.Agent({ allowH2: false, connect: { ...tls, keepAlive: true, keepAliveInitialDelay: 30_000 } })
  }
  if (!proxy.startsWith("http")) throw new Error(`the proxy ${proxy} is not supported; use an HTTP proxy`)
  return new Undici.ProxyAgent({ allowH2: false, uri: proxy, requestTls: tls })
}

const isSame = (a: Connection, b: Connection): boolean => a === b || JSON.stringify(a) === JSON.stringify(b)
