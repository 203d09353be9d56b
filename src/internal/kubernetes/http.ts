/**
 * Requests over undici's pooled connections: one whole answer, or one that goes on line by line.
 *
 * Each acquisition of a lock waits for one or two of these, and for a line of a watch. `HttpClient` costs twice of what the
 * request does: a URL is parsed, an answer is streamed, a timer races with it. Here none of that is.
 */
import type * as Undici from "@effect/platform-node/Undici"
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
import { isTraced } from "../tracing.ts"

/** What is sent. The path has the query with it. */
export interface Request {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE"
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
}

/** The head of an answer. Names of headers are in lower case. */
export interface ResponseHead {
  readonly status: number
  readonly headers: Readonly<Record<string, string | ReadonlyArray<string> | undefined>>
}

/** An answer with its body read. */
export interface Response extends ResponseHead {
  readonly body: string
}

/** A successful answer whose body is still to come, line by line. */
export interface LineStream extends ResponseHead {
  readonly lines: Stream.Stream<string, TransportError>
}

/** There is no whole answer. `detail` says why, in the words of a message. */
export class TransportError extends Schema.Error<TransportError>("kubelock/KubernetesClient/TransportError")({
  _tag: Schema.tag("TransportError"),
  detail: Schema.String
}) {
  override get message(): string {
    return `No answer from the API server: ${this.detail}.`
  }
}

/**
 * Bounds of a request: milliseconds until the whole answer is there (of one that goes on its head), and its size in bytes
 * (of one that goes on each line's).
 */
export interface Bounds {
  readonly millis: number
  readonly bytes: number
}

/** Sends requests to one server, with a span for each where a tracer collects them. */
export interface Http {
  /** Answers once the whole answer is there. */
  readonly ask: (
    request: Request,
    headers: Readonly<Record<string, string>>,
    bounds: Bounds
  ) => Effect.Effect<Response, TransportError>
  /** Answers as soon as the head of the answer is there, where it is a success, and ends with the scope. */
  readonly watch: (
    request: Request,
    headers: Readonly<Record<string, string>>,
    bounds: Bounds
  ) => Effect.Effect<Response | LineStream, TransportError, Scope.Scope>
}

/** Makes the transport. */
export const make = (pools: Connections, server: string, alarms: Timers): Http => {
  const send = <A extends ResponseHead>(
    dispatcher: Undici.Dispatcher,
    { body, headers, method, path }: Request,
    more: Readonly<Record<string, string>>,
    bounds: Bounds,
    signal: EventEmitter,
    read: Reader<A>
  ): Effect.Effect<A, TransportError> =>
    Effect.withFiber((fiber) => {
      const sent = (traces: Readonly<Record<string, string>>) =>
        exchange(
          dispatcher,
          {
            origin: server,
            path,
            method,
            headers: { ...headers, ...more, ...traces },
            body: body ?? null,
            headersTimeout: 0,
            bodyTimeout: 0,
            signal
          },
          bounds,
          alarms,
          read
        )
      return !isTraced(fiber)
        ? sent({})
        : Effect.useSpan(
            `http.client ${method}`,
            {
              kind: "client",
              attributes: {
                "http.request.method": method,
                "url.full": `${server}${path}`,
                "url.path": path.split("?")[0]!
              }
            },
            (span) =>
              Effect.tap(sent(HttpTraceContext.toHeaders(span)), ({ status }) =>
                Effect.sync(() => span.attribute("http.response.status_code", status))
              )
          )
    })

  return {
    ask: (request, headers, bounds) => send(pools.requests, request, headers, bounds, new EventEmitter(), whole),
    watch: (request, headers, bounds) =>
      Effect.suspend(() => {
        const signal = new EventEmitter()
        return Effect.acquireRelease(
          send(pools.watches, request, headers, bounds, signal, byLine),
          () => Effect.sync(() => signal.emit("abort")),
          { interruptible: true }
        )
      })
  }
}

/** How a request ends: with an answer, without one, or without one and with no more of it to come. */
interface Ending<A> {
  readonly answer: (answer: A) => void
  readonly fail: (detail: string) => void
  readonly giveUp: (detail: string) => void
}

/** Reads an answer whose head has come. */
type Reader<A> = (response: Undici.Dispatcher.ResponseData, bounds: Bounds, ending: Ending<A>) => void

const exchange = <A>(
  dispatcher: Undici.Dispatcher,
  options: Undici.Dispatcher.RequestOptions & { readonly signal: EventEmitter },
  bounds: Bounds,
  alarms: Timers,
  read: Reader<A>
): Effect.Effect<A, TransportError> =>
  Effect.callback((resume) => {
    const end = (outcome: Effect.Effect<A, TransportError>) => {
      callOff()
      resume(outcome)
    }
    const fail = (detail: string) => end(Effect.fail(new TransportError({ detail })))
    // Also takes the request out of the queue for a connection, where it still is: a connection may take long to be made.
    const giveUp = (detail: string) => {
      fail(detail)
      options.signal.emit("abort")
    }
    const callOff = alarms.schedule(bounds.millis, () =>
      giveUp(`no answer within ${Duration.format(Duration.millis(bounds.millis))}`)
    )
    const ending: Ending<A> = { answer: (answer) => end(Effect.succeed(answer)), fail, giveUp }
    dispatcher.request(options).then(
      (response) => read(response, bounds, ending),
      (error: unknown) => fail(noConnection(error))
    )
    return Effect.sync(() => giveUp("nobody waits for it"))
  })

const whole: Reader<Response> = ({ body, headers, statusCode: status }, { bytes }, { answer, fail, giveUp }) => {
  const chunks: Array<Uint8Array> = []
  let length = 0
  body.on("data", (chunk: Uint8Array) => {
    length += chunk.length
    if (length > bytes) giveUp(`the answer is larger than ${bytes} bytes`)
    else chunks.push(chunk)
  })
  body.on("end", () => answer({ status, headers, body: Buffer.concat(chunks).toString() }))
  body.on("error", () => fail("the answer broke off"))
}

const byLine: Reader<Response | LineStream> = (response, bounds, ending) => {
  const { body, headers, statusCode: status } = response
  if (status === 200) ending.answer({ status, headers, lines: linesOf(body, bounds.bytes) })
  else whole(response, bounds, ending)
}

// What comes before anybody asks for it waits, up to that many bytes. What is left without the end of a line is none.
const linesOf = (body: Readable, bytes: number): Stream.Stream<string, TransportError> => {
  let line = ""
  let unread: Array<string> = []
  let size = 0
  let end: Cause.Done | TransportError | undefined
  let wake = () => {}
  const finish = (reason: Cause.Done | TransportError) => {
    end ??= reason
    wake()
  }

  body.setEncoding("utf8")
  body.on("data", (text: string) => {
    const parts = text.split("\n")
    size += text.length
    for (const part of parts.slice(0, -1)) {
      if (line.length + part.length > 0) unread.push(line + part)
      line = ""
    }
    line += parts.at(-1)!
    if (line.length > bytes) {
      finish(new TransportError({ detail: `a line is larger than ${bytes} bytes` }))
      body.destroy()
    } else if (size > bytes) body.pause()
    if (unread.length > 0) wake()
  })
  body.on("end", () => finish(Cause.Done()))
  body.on("error", () => finish(new TransportError({ detail: "the answer broke off" })))

  const next: Pull.Pull<Arr.NonEmptyReadonlyArray<string>, TransportError> = Effect.suspend(() => {
    if (Arr.isArrayNonEmpty(unread)) {
      const lines = unread
      unread = []
      size = 0
      body.resume()
      return Effect.succeed(lines)
    }
    return end === undefined ? Effect.flatMap(woken, () => next) : Effect.fail(end)
  })
  const woken = Effect.callback<void>((resume) => {
    wake = () => resume(Effect.void)
  })
  return Stream.fromPull(Effect.succeed(next))
}

// Why there was no answer at all, without what may be secret.
const noConnection = (cause: unknown): string =>
  cause instanceof Error && "code" in cause ? `no connection (${String(cause.code)})` : "the connection failed"
