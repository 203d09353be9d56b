/**
 * One request and its whole answer, over undici's pooled connections.
 *
 * Each acquisition of a lock waits for one or two of these. `HttpClient` costs twice of what the request does: a URL is
 * parsed, an answer is streamed, a timer races with it. Here none of that is, for answers that are small.
 */
import type * as Undici from "@effect/platform-node/Undici"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpTraceContext from "effect/http/HttpTraceContext"
import * as UrlParams from "effect/http/UrlParams"
import * as Schema from "effect/Schema"
import type { Alarms } from "./alarms.ts"
import { isTraced } from "./traced.ts"

/** An answer with its body read. Names of headers are in lower case. */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | ReadonlyArray<string> | undefined>>
  readonly body: string
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

/** Bounds of a request: milliseconds until the whole answer is there, and its size in bytes. */
export interface Bounds {
  readonly millis: number
  readonly bytes: number
}

/** Sends requests to one server, with a span for each where a tracer collects them. */
export const make =
  (dispatcher: Undici.Dispatcher, server: string, alarms: Alarms) =>
  (
    request: HttpClientRequest.HttpClientRequest,
    headers: Readonly<Record<string, string>>,
    bounds: Bounds
  ): Effect.Effect<Answer, TransportError> =>
    Effect.withFiber((fiber) => {
      const { body } = request
      if (body._tag !== "Empty" && body._tag !== "Uint8Array") {
        return Effect.fail(
          new TransportError({ detail: "a request with a body that is not text or bytes is not sent" })
        )
      }
      const path = pathOf(request)
      const send = (more: Readonly<Record<string, string>>) =>
        exchange(
          dispatcher,
          {
            origin: server,
            path,
            method: request.method as Undici.Dispatcher.HttpMethod,
            headers: { ...request.headers, ...headers, ...more },
            body: body._tag === "Uint8Array" ? body.body : null,
            headersTimeout: 0,
            bodyTimeout: 0
          },
          bounds,
          alarms
        )
      return !isTraced(fiber)
        ? send({})
        : Effect.useSpan(
            `http.client ${request.method}`,
            {
              kind: "client",
              attributes: {
                "http.request.method": request.method,
                "url.full": `${server}${path}`,
                "url.path": request.url
              }
            },
            (span) =>
              Effect.tap(send(HttpTraceContext.toHeaders(span)), ({ status }) =>
                Effect.sync(() => span.attribute("http.response.status_code", status))
              )
          )
    })

const pathOf = ({ url, urlParams }: HttpClientRequest.HttpClientRequest): string =>
  urlParams.params.length === 0 ? url : `${url}?${UrlParams.toString(urlParams)}`

const exchange = (
  dispatcher: Undici.Dispatcher,
  options: Undici.Dispatcher.RequestOptions,
  { bytes, millis }: Bounds,
  alarms: Alarms
): Effect.Effect<Answer, TransportError> =>
  Effect.callback((resume) => {
    // Also takes the request out of the queue for a connection, where it still is: a connection may take long to be made.
    const controller = new AbortController()
    const end = (outcome: Effect.Effect<Answer, TransportError>) => {
      callOff()
      resume(outcome)
    }
    const fail = (detail: string) => end(Effect.fail(new TransportError({ detail })))
    const giveUp = (detail: string) => {
      fail(detail)
      controller.abort()
    }
    const callOff = alarms.set(millis, () => giveUp(`no answer within ${Duration.format(Duration.millis(millis))}`))

    dispatcher.request({ ...options, signal: controller.signal }).then(
      ({ body, headers, statusCode: status }) => {
        const chunks: Array<Uint8Array> = []
        let length = 0
        body.on("data", (chunk: Uint8Array) => {
          length += chunk.length
          if (length > bytes) giveUp(`the answer is larger than ${bytes} bytes`)
          else chunks.push(chunk)
        })
        body.on("end", () => end(Effect.succeed({ status, headers, body: Buffer.concat(chunks).toString() })))
        body.on("error", () => fail("the answer broke off"))
      },
      (error: unknown) => fail(noConnection(error))
    )
    return Effect.sync(() => giveUp("nobody waits for it"))
  })

/** Why there was no answer at all, without what may be secret. */
export const noConnection = (cause: unknown): string =>
  cause instanceof Error && "code" in cause ? `no connection (${String(cause.code)})` : "the connection failed"
