/**
 * HTTP requests over undici's pooled connections. A response is read whole, or line by line.
 *
 * An acquisition waits for one or two requests, and for a line of a watch, so their cost counts. Effect's `HttpClient`
 * takes twice the time of the request itself: it parses a URL, streams the response, and races it with a timer. undici's `request` makes
 * a stream of each response as well. This module does none of that: it takes the bytes as they come.
 */
import type * as Undici from "undici/index.js"
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpTraceContext from "effect/http/HttpTraceContext"
import type * as Pull from "effect/Pull"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { StringDecoder } from "node:string_decoder"
import type { Timer } from "../time/timerHeap.ts"
import type { Timers } from "../time/timers.ts"
import type { Connections } from "./connections.ts"
import type { Headers } from "./credentials.ts"
import type { ServerUrl } from "./serverUrl.ts"
import * as requestSpan from "./requestSpan.ts"

/** A request. `path` includes the query. `isResent`: the server has refused the same request before, with other credentials. */
export interface Request {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE"
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
  readonly isResent?: boolean
}

/** The head of a response. Header names are in lower case. */
export interface ResponseHead {
  readonly status: number
  readonly headers: Readonly<Record<string, string | ReadonlyArray<string> | undefined>>
}

/** A response with its whole body. */
export interface Response extends ResponseHead {
  readonly body: string
}

/** A successful response whose body arrives line by line. */
export interface LineStream extends ResponseHead {
  readonly lines: Stream.Stream<string, TransportError>
}

/**
 * No complete response arrived. `detail` is the reason, as part of a sentence. `isUnreachable`: there was no connection, or
 * nothing came within the limit. `code`: that of Node.js or undici, such as `ECONNREFUSED`, or `timeout`; absent if there is none.
 */
export class TransportError extends Schema.Error<TransportError>("kubelock/KubernetesClient/TransportError")({
  _tag: Schema.tag("TransportError"),
  detail: Schema.String,
  isUnreachable: Schema.optionalKey(Schema.Boolean),
  code: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    return `No response from the API server: ${this.detail}.`
  }
}

/** The certificate of the server does not verify, so nothing was sent. `detail` is the reason, as part of a sentence. */
export class UntrustedServer extends Schema.Error<UntrustedServer>("kubelock/KubernetesClient/UntrustedServer")({
  _tag: Schema.tag("UntrustedServer"),
  detail: Schema.String
}) {
  override get message(): string {
    return `The API server is not trusted: ${this.detail}.`
  }
}

/** Why a request has no response. */
export type RequestError = TransportError | UntrustedServer

/**
 * Limits of one request.
 *
 * - `timeoutMillis`: the time until the whole response has arrived. For a `LineStream`, until its head has arrived.
 * - `maxBytes`: the size of the body. For a `LineStream`, of each line.
 * - `lastsMillis`: how long a `LineStream` lasts. It then ends.
 * - `skips`: lines of a `LineStream` that are left out. Nothing wakes for them.
 */
export interface Limits {
  readonly timeoutMillis: number
  readonly maxBytes: number
  readonly lastsMillis?: number | undefined
  readonly skips?: ((line: string) => boolean) | undefined
}

/** Sends requests to one server. Each request has a span if a tracer is installed. */
export interface Http {
  /** Succeeds when the whole response has arrived. */
  readonly request: (request: Request, credentials: Headers, limits: Limits) => Effect.Effect<Response, RequestError>
  /** Succeeds when the head of the response has arrived, if its status is 200. Ends with the scope. */
  readonly watch: (
    request: Request,
    credentials: Headers,
    limits: Limits
  ) => Effect.Effect<Response | LineStream, RequestError, Scope.Scope>
}

/** Makes the HTTP client of one server. */
export const make = (connections: Connections, server: ServerUrl, timers: Timers): Http => {
  const send = <A extends ResponseHead>(
    dispatcher: Undici.Dispatcher,
    request: Request,
    credentials: Headers,
    limits: Limits,
    read: Read<A>,
    exchange?: Exchange
  ): Effect.Effect<A, RequestError> => {
    const { body, headers, method, path } = request
    return requestSpan.around(server, request, (span) =>
      dispatch(
        dispatcher,
        {
          origin: server.origin,
          path: `${server.prefix}${path}`,
          method,
          headers: { ...headers, ...credentials, ...(span === undefined ? {} : HttpTraceContext.toHeaders(span)) },
          body: body ?? null,
          headersTimeout: 0,
          bodyTimeout: 0
        },
        limits,
        timers,
        read,
        exchange
      )
    )
  }

  return {
    request: (request, credentials, limits) => send(connections.requests, request, credentials, limits, readWhole),
    watch: (request, credentials, limits) =>
      Effect.suspend(() => {
        const exchange = new Exchange()
        return Effect.acquireRelease(
          send(connections.watches, request, credentials, limits, readLines, exchange),
          () => Effect.sync(() => exchange.cancel()),
          { interruptible: true }
        )
      })
  }
}

/** A request and its response on a connection, once it has one. */
class Exchange {
  #controller: Undici.Dispatcher.DispatchController | undefined
  #isCancelled = false

  /** Throws if it was given up before: it is then not sent, and its connection serves the next one. */
  begin(controller: Undici.Dispatcher.DispatchController): void {
    if (this.#isCancelled) throw cancelled
    this.#controller = controller
  }

  pause(): void {
    this.#controller?.pause()
  }

  resume(): void {
    this.#controller?.resume()
  }

  /**
   * Aborts it, a turn of the event loop later: over HTTP/2 undici 8.13 would not tell the server of a request that ends in the turn in
   * which it began, and what is left of it could end the process.
   */
  cancel(): void {
    this.#isCancelled = true
    setImmediate(() => this.#controller?.abort(cancelled))
  }
}

const cancelled = new Error("the request was given up")

/** The end of a request. `abort` fails it and also closes what is left of it. */
interface Outcome<A> {
  readonly succeed: (response: A) => void
  readonly fail: (detail: string) => void
  readonly abort: (detail: string) => void
}

/** Gets the body of a response: its bytes, and then its end, or that it broke off. */
interface Reader {
  readonly take: (chunk: Uint8Array) => void
  readonly end: () => void
  readonly breakOff: () => void
}

/** Begins to read a response whose head has arrived. */
type Read<A> = (head: ResponseHead, limits: Limits, outcome: Outcome<A>, exchange: Exchange, timers: Timers) => Reader

const dispatch = <A>(
  dispatcher: Undici.Dispatcher,
  options: Undici.Dispatcher.DispatchOptions,
  limits: Limits,
  timers: Timers,
  read: Read<A>,
  exchange = new Exchange()
): Effect.Effect<A, RequestError> =>
  Effect.callback((resume) => {
    const end = (exit: Effect.Effect<A, RequestError>) => {
      timers.cancel(timeout)
      resume(exit)
    }
    const fail = (detail: string) => end(Effect.fail(new TransportError({ detail })))
    const abort = (detail: string) => {
      fail(detail)
      exchange.cancel()
    }
    const timeout = timers.schedule(limits.timeoutMillis, {
      fire: () => {
        const detail = `no response within ${Duration.format(Duration.millis(limits.timeoutMillis))}`
        end(Effect.fail(new TransportError({ detail, isUnreachable: true, code: "timeout" })))
        exchange.cancel()
      }
    })
    const outcome: Outcome<A> = { succeed: (response) => end(Effect.succeed(response)), fail, abort }
    let reader: Reader | undefined
    const broke = (error: unknown) => {
      if (reader === undefined) end(Effect.fail(problemOf(error)))
      else reader.breakOff()
    }
    try {
      dispatcher.dispatch(options, {
        onRequestStart: (controller) => exchange.begin(controller),
        onResponseStart: (_, status, headers) => {
          if (status >= 200) reader = read({ status, headers }, limits, outcome, exchange, timers)
        },
        onResponseData: (_, chunk) => reader!.take(chunk),
        onResponseEnd: () => reader!.end(),
        onResponseError: (_, error) => broke(error)
      })
    } catch (error) {
      broke(error)
    }
    return Effect.sync(() => abort("the request was interrupted"))
  })

const readWhole: Read<Response> = ({ headers, status }, { maxBytes }, outcome) => {
  const chunks: Array<Uint8Array> = []
  let length = 0
  return {
    take: (chunk) => {
      length += chunk.length
      if (length > maxBytes) outcome.abort(`the response is larger than ${maxBytes} bytes`)
      else chunks.push(chunk)
    },
    end: () => outcome.succeed({ status, headers, body: Buffer.concat(chunks).toString() }),
    breakOff: () => outcome.fail(truncated)
  }
}

const readLines: Read<Response | LineStream> = (head, limits, outcome, exchange, timers) => {
  if (head.status !== 200) return readWhole(head, limits, outcome, exchange, timers)
  const { lines, reader } = linesOf(limits, exchange, timers)
  outcome.succeed({ ...head, lines })
  return reader
}

// Lines that are not consumed yet are buffered, up to `maxBytes`; then the connection is paused. Text after the last
// line end is dropped.
const linesOf = (
  { lastsMillis, maxBytes, skips = () => false }: Limits,
  exchange: Exchange,
  timers: Timers
): { readonly lines: Stream.Stream<string, TransportError>; readonly reader: Reader } => {
  const decoder = new StringDecoder("utf8")
  let partial = ""
  let buffered: Array<string> = []
  let bufferedSize = 0
  let end: Cause.Done | TransportError | undefined
  let wake = () => {}
  let ending: Timer | undefined
  const finish = (reason: Cause.Done | TransportError) => {
    timers.cancel(ending)
    end ??= reason
    wake()
  }
  if (lastsMillis !== undefined) {
    ending = timers.schedule(lastsMillis, {
      fire: () => {
        finish(Cause.Done())
        exchange.cancel()
      }
    })
  }

  const take = (chunk: Uint8Array) => {
    const parts = decoder.write(chunk).split("\n")
    const last = parts.pop()!
    for (const part of parts) {
      const line = partial + part
      partial = ""
      if (line.length === 0 || skips(line)) continue
      buffered.push(line)
      bufferedSize += line.length
    }
    partial += last
    if (partial.length > maxBytes) {
      finish(new TransportError({ detail: `a line is larger than ${maxBytes} bytes` }))
      exchange.cancel()
    } else if (bufferedSize > maxBytes) exchange.pause()
    if (buffered.length > 0) wake()
  }

  const pull: Pull.Pull<Arr.NonEmptyReadonlyArray<string>, TransportError> = Effect.suspend(() => {
    if (Arr.isArrayNonEmpty(buffered)) {
      const lines = buffered
      buffered = []
      bufferedSize = 0
      exchange.resume()
      return Effect.succeed(lines)
    }
    return end === undefined ? Effect.flatMap(woken, () => pull) : Effect.fail(end)
  })
  const woken = Effect.callback<void>((resume) => {
    wake = () => resume(Effect.void)
  })
  return {
    lines: Stream.fromPull(Effect.succeed(pull)),
    reader: {
      take,
      end: () => finish(Cause.Done()),
      breakOff: () => finish(new TransportError({ detail: truncated }))
    }
  }
}

const truncated = "the connection broke before the response was complete"

// The message of an error can contain secrets. Only its code, or its kind, is repeated.
const problemOf = (error: unknown): RequestError => {
  const code = error instanceof Error && "code" in error ? String(error.code) : undefined
  if (code === undefined) {
    return new TransportError({
      detail: `the connection failed (${error instanceof Error ? error.name : typeof error})`
    })
  }
  const certificate = problemOfCertificate(code)
  if (certificate !== undefined) return new UntrustedServer({ detail: `${certificate} (${code})` })
  const isBroken = ["ECONNRESET", "EPIPE", "UND_ERR_SOCKET"].includes(code)
  return new TransportError({ detail: `no connection (${code})`, code, ...(isBroken ? {} : { isUnreachable: true }) })
}

// The codes are those of Node's documentation ("X509 certificate error codes").
const problemOfCertificate = (code: string): string | undefined => {
  switch (code) {
    case "ERR_TLS_CERT_ALTNAME_INVALID":
    case "HOSTNAME_MISMATCH":
      return "its certificate is for other names than the one in its URL, or in tls-server-name"
    case "CERT_HAS_EXPIRED":
      return "its certificate has expired, by the clock of this machine"
    case "CERT_NOT_YET_VALID":
      return "its certificate is not valid yet, by the clock of this machine"
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
    case "SELF_SIGNED_CERT_IN_CHAIN":
    case "UNABLE_TO_GET_ISSUER_CERT":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
    case "CERT_SIGNATURE_FAILURE":
      return "its certificate is not signed by the certificate authority of the kubeconfig or the pod"
    case "CERT_CHAIN_TOO_LONG":
    case "CERT_REJECTED":
    case "CERT_REVOKED":
    case "CERT_UNTRUSTED":
    case "ERROR_IN_CERT_NOT_AFTER_FIELD":
    case "ERROR_IN_CERT_NOT_BEFORE_FIELD":
    case "INVALID_CA":
    case "INVALID_PURPOSE":
    case "PATH_LENGTH_EXCEEDED":
    case "UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY":
    case "UNABLE_TO_DECRYPT_CERT_SIGNATURE":
      return "its certificate does not verify"
    default:
      return undefined
  }
}
