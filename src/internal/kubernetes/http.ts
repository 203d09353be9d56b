/**
 * HTTP requests over undici's pooled connections. A response is read whole, or line by line.
 *
 * An acquisition waits for one or two requests, and for a line of a watch, so their cost counts. Effect's `HttpClient`
 * takes twice the time of the request itself: it parses a URL, streams the response, and races it with a timer. This
 * module does none of that.
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
import { EventEmitter } from "node:events"
import type { Readable } from "node:stream"
import type { Timers } from "../time/timers.ts"
import type { Connections } from "./connections.ts"
import { inSpan, quietly } from "../tracing.ts"

/** A request. `path` includes the query. */
export interface Request {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE"
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
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

/** No complete response arrived. `detail` is the reason, as part of a sentence. */
export class TransportError extends Schema.Error<TransportError>("kubelock/KubernetesClient/TransportError")({
  _tag: Schema.tag("TransportError"),
  detail: Schema.String
}) {
  override get message(): string {
    return `No response from the API server: ${this.detail}.`
  }
}

/**
 * Limits of one request.
 *
 * - `timeoutMillis`: the time until the whole response has arrived. For a `LineStream`, until its head has arrived.
 * - `maxBytes`: the size of the body. For a `LineStream`, of each line.
 */
export interface Limits {
  readonly timeoutMillis: number
  readonly maxBytes: number
}

/** Sends requests to one server. Each request has a span if a tracer is installed. */
export interface Http {
  /** Succeeds when the whole response has arrived. */
  readonly request: (
    request: Request,
    credentials: Readonly<Record<string, string>>,
    limits: Limits
  ) => Effect.Effect<Response, TransportError>
  /** Succeeds when the head of the response has arrived, if its status is 200. Ends with the scope. */
  readonly watch: (
    request: Request,
    credentials: Readonly<Record<string, string>>,
    limits: Limits
  ) => Effect.Effect<Response | LineStream, TransportError, Scope.Scope>
}

/** Makes the HTTP client of one server (`server` is its URL). */
export const make = (connections: Connections, server: string, timers: Timers): Http => {
  const send = <A extends ResponseHead>(
    dispatcher: Undici.Dispatcher,
    { body, headers, method, path }: Request,
    credentials: Readonly<Record<string, string>>,
    limits: Limits,
    signal: EventEmitter,
    read: Reader<A>
  ): Effect.Effect<A, TransportError> =>
    inSpan(
      `http.client ${method}`,
      {
        kind: "client",
        attributes: {
          "http.request.method": method,
          "url.full": `${server}${path}`,
          "url.path": path.split("?")[0]!
        }
      },
      (span) => {
        const response = dispatch(
          dispatcher,
          {
            origin: server,
            path,
            method,
            headers: { ...headers, ...credentials, ...(span === undefined ? {} : HttpTraceContext.toHeaders(span)) },
            body: body ?? null,
            headersTimeout: 0,
            bodyTimeout: 0,
            signal
          },
          limits,
          timers,
          read
        )
        if (span === undefined) return response
        return Effect.tap(response, ({ status }) =>
          Effect.sync(() => quietly(() => span.attribute("http.response.status_code", status)))
        )
      }
    )

  return {
    request: (request, credentials, limits) =>
      send(connections.requests, request, credentials, limits, new EventEmitter(), readWhole),
    watch: (request, credentials, limits) =>
      Effect.suspend(() => {
        const signal = new EventEmitter()
        return Effect.acquireRelease(
          send(connections.watches, request, credentials, limits, signal, readLines),
          () => Effect.sync(() => signal.emit("abort")),
          { interruptible: true }
        )
      })
  }
}

/** The end of a request. `abort` fails it and also closes what is left of it. */
interface Outcome<A> {
  readonly succeed: (response: A) => void
  readonly fail: (detail: string) => void
  readonly abort: (detail: string) => void
}

/** Reads a response whose head has arrived. */
type Reader<A> = (response: Undici.Dispatcher.ResponseData, limits: Limits, outcome: Outcome<A>) => void

const dispatch = <A>(
  dispatcher: Undici.Dispatcher,
  options: Undici.Dispatcher.RequestOptions & { readonly signal: EventEmitter },
  limits: Limits,
  timers: Timers,
  read: Reader<A>
): Effect.Effect<A, TransportError> =>
  Effect.callback((resume) => {
    const end = (exit: Effect.Effect<A, TransportError>) => {
      cancelTimeout()
      resume(exit)
    }
    const fail = (detail: string) => end(Effect.fail(new TransportError({ detail })))
    // A request that still waits for a connection leaves that queue, too: connecting can take long.
    const abort = (detail: string) => {
      fail(detail)
      options.signal.emit("abort")
    }
    const cancelTimeout = timers.schedule(limits.timeoutMillis, () =>
      abort(`no response within ${Duration.format(Duration.millis(limits.timeoutMillis))}`)
    )
    dispatcher.request(options).then(
      (response) => read(response, limits, { succeed: (result) => end(Effect.succeed(result)), fail, abort }),
      (error: unknown) => fail(connectionProblem(error))
    )
    return Effect.sync(() => abort("the request was interrupted"))
  })

const readWhole: Reader<Response> = ({ body, headers, statusCode: status }, { maxBytes }, outcome) => {
  const chunks: Array<Uint8Array> = []
  let length = 0
  body.on("data", (chunk: Uint8Array) => {
    length += chunk.length
    if (length > maxBytes) outcome.abort(`the response is larger than ${maxBytes} bytes`)
    else chunks.push(chunk)
  })
  body.on("end", () => outcome.succeed({ status, headers, body: Buffer.concat(chunks).toString() }))
  body.on("error", () => outcome.fail(truncated))
}

const readLines: Reader<Response | LineStream> = (response, limits, outcome) => {
  const { body, headers, statusCode: status } = response
  if (status === 200) outcome.succeed({ status, headers, lines: linesOf(body, limits.maxBytes) })
  else readWhole(response, limits, outcome)
}

// Lines that are not consumed yet are buffered, up to `maxBytes`; then the connection is paused. Text after the last
// line end is dropped.
const linesOf = (body: Readable, maxBytes: number): Stream.Stream<string, TransportError> => {
  let partial = ""
  let buffered: Array<string> = []
  let bufferedSize = 0
  let end: Cause.Done | TransportError | undefined
  let wake = () => {}
  const finish = (reason: Cause.Done | TransportError) => {
    end ??= reason
    wake()
  }

  body.setEncoding("utf8")
  body.on("data", (text: string) => {
    const parts = text.split("\n")
    bufferedSize += text.length
    for (const part of parts.slice(0, -1)) {
      if (partial.length + part.length > 0) buffered.push(partial + part)
      partial = ""
    }
    partial += parts.at(-1)!
    if (partial.length > maxBytes) {
      finish(new TransportError({ detail: `a line is larger than ${maxBytes} bytes` }))
      body.destroy()
    } else if (bufferedSize > maxBytes) body.pause()
    if (buffered.length > 0) wake()
  })
  body.on("end", () => finish(Cause.Done()))
  body.on("error", () => finish(new TransportError({ detail: truncated })))

  const pull: Pull.Pull<Arr.NonEmptyReadonlyArray<string>, TransportError> = Effect.suspend(() => {
    if (Arr.isArrayNonEmpty(buffered)) {
      const lines = buffered
      buffered = []
      bufferedSize = 0
      body.resume()
      return Effect.succeed(lines)
    }
    return end === undefined ? Effect.flatMap(woken, () => pull) : Effect.fail(end)
  })
  const woken = Effect.callback<void>((resume) => {
    wake = () => resume(Effect.void)
  })
  return Stream.fromPull(Effect.succeed(pull))
}

const truncated = "the connection broke before the response was complete"

// The error of undici can contain secrets. Only its code is repeated.
const connectionProblem = (cause: unknown): string =>
  cause instanceof Error && "code" in cause ? `no connection (${String(cause.code)})` : "the connection failed"
