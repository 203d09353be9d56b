/** A server with TLS that remembers what it was asked, and a proxy that leads to it. */
import * as Effect from "effect/Effect"
import { createServer as createHttpServer, type RequestListener } from "node:http"
import { createServer as createHttpsServer } from "node:https"
import { createSecureServer, type Http2ServerRequest, type Http2ServerResponse } from "node:http2"
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net"
import type { TLSSocket } from "node:tls"
import type { Authority, KeyPair } from "../../src/testing/envtest/Certificates.ts"

/** A request as it arrived. `headers` has a name and a value for each line. `user` is the CN of the client's certificate. */
export interface SeenRequest {
  readonly url: string
  readonly version: string
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>
  readonly user: string | undefined
}

/** Starts the server, which answers every request with `status`. It speaks HTTP/1.1 and HTTP/2. */
export const make = (
  authority: Authority,
  options: { readonly serving?: KeyPair; readonly status?: () => number } = {}
) =>
  Effect.gen(function* () {
    const { cert, key } = options.serving ?? (yield* authority.serving)
    const seen: Array<SeenRequest> = []
    const answer = (request: Http2ServerRequest, response: Http2ServerResponse) => {
      const { httpVersion, rawHeaders, url } = request
      const socket = (request.stream?.session?.socket ?? request.socket) as TLSSocket
      const subject = socket.getPeerCertificate().subject as { readonly CN: string } | undefined
      seen.push({
        url,
        version: httpVersion,
        headers: rawHeaders.flatMap((name, index) =>
          index % 2 === 0 ? [[name.toLowerCase(), rawHeaders[index + 1]!] as const] : []
        ),
        user: subject?.CN
      })
      response.writeHead(options.status?.() ?? 200, { "content-type": "application/json" })
      response.end("{}")
    }
    const port = yield* listening(
      createSecureServer(
        { allowHTTP1: true, cert, key, ca: authority.ca.cert, requestCert: true, rejectUnauthorized: false },
        answer
      )
    )
    return { port, url: `https://localhost:${port}`, seen }
  })

/** Serves HTTP/1.1 over TLS on the port that it gives. */
export const serve = (tls: KeyPair, answer: RequestListener) =>
  Effect.suspend(() => listening(createHttpsServer(tls, answer)))

/**
 * Starts an HTTP proxy that connects to `port` of this machine, whatever it is asked for. With `tls` it is reached by TLS.
 * `asked` has what it was asked for.
 */
export const makeProxy = (port: number, tls?: KeyPair) =>
  Effect.gen(function* () {
    const asked: Array<{ readonly target: string; readonly authorization: string | undefined }> = []
    const server = tls === undefined ? createHttpServer() : createHttpsServer(tls)
    server.on("connect", ({ headers, url }, client: Socket) => {
      asked.push({ target: url!, authorization: headers["proxy-authorization"] })
      const upstream = connect(port, "127.0.0.1", () => {
        client.write("HTTP/1.1 200 Connection established\r\n\r\n")
        upstream.pipe(client).pipe(upstream)
      })
      upstream.on("error", () => client.destroy())
      client.on("error", () => upstream.destroy())
      client.on("close", () => upstream.destroy())
    })
    const own = yield* listening(server)
    return { url: tls === undefined ? `http://127.0.0.1:${own}` : `https://localhost:${own}`, asked }
  })

/** Starts a SOCKS5 proxy that connects to `port` of this machine, whatever it is asked for. `asked` has what it was asked for. */
export const makeSocksProxy = (port: number) =>
  Effect.gen(function* () {
    const asked: Array<string> = []
    const server = createServer((client) => {
      client.once("data", () => {
        // No authentication.
        client.write(Buffer.from([5, 0]))
        client.once("data", (request: Buffer) => {
          const nameEnd = 5 + request[4]!
          asked.push(`${request.toString("latin1", 5, nameEnd)}:${request.readUInt16BE(nameEnd)}`)
          const upstream = connect(port, "127.0.0.1", () => {
            client.write(Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]))
            upstream.pipe(client).pipe(upstream)
          })
          upstream.on("error", () => client.destroy())
          client.on("close", () => upstream.destroy())
        })
      })
    })
    return { url: `socks5://127.0.0.1:${yield* listening(server)}`, asked }
  })

/** Lets a server listen on a free port of this machine, which it answers, until the scope closes. */
export const listening = (server: Server | ReturnType<typeof createSecureServer>) =>
  Effect.gen(function* () {
    const sockets = new Set<Socket>()
    server.on("connection", (socket: Socket) => {
      sockets.add(socket)
      socket.on("error", () => {})
      socket.on("close", () => sockets.delete(socket))
    })
    yield* Effect.acquireRelease(
      Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
      () =>
        Effect.sync(() => {
          for (const socket of sockets) socket.destroy()
          server.close()
        })
    )
    return (server.address() as AddressInfo).port
  })
