/** The HTTP handler: reads a request, applies faults, and sends the response. */
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as HttpServerError from "effect/http/HttpServerError"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Stream from "effect/Stream"
import { type Answer, authenticate, dispatch, forbid, refuseBody, type State, verbOf } from "./dispatch.ts"
import type { Fault, Faults, Moment } from "./faults.ts"
import { isProtobuf, readProtobuf } from "./protobufBody.ts"
import { badRequest, bodyTooLarge, text as textReply } from "./reply.ts"
import { parse as parsePath } from "./requestPath.ts"
import type { RequestLog } from "./requests.ts"

/** The server's clock: `Date` header and timestamps. */
export interface ServerClock {
  /** `Tue, 24 Nov 2026 10:36:07 GMT` */
  readonly httpDate: () => string
  /** `2026-11-24T10:36:07Z` */
  readonly timestamp: () => string
}

/** What the handler depends on. */
export interface Options extends State {
  readonly faults: Faults
  readonly log: RequestLog
  readonly clock: ServerClock
  readonly token: () => string | undefined
}

const noQuery = new URLSearchParams()

/** The handler of all requests. */
export const makeHandler = (
  options: Options
): Effect.Effect<HttpServerResponse.HttpServerResponse, never, HttpServerRequest> => {
  const { clock, faults, log } = options

  const handle = (request: HttpServerRequest): Effect.Effect<HttpServerResponse.HttpServerResponse> => {
    const source = NodeHttpServerRequest.toIncomingMessage(request)
    const queryStart = request.url.indexOf("?")
    const rawPath = queryStart < 0 ? request.url : request.url.slice(0, queryStart)
    const query = queryStart < 0 ? noQuery : new URLSearchParams(request.url.slice(queryStart + 1))
    const path = parsePath(rawPath)
    const { method } = request
    const seen = { method, verb: verbOf(method, path, query), path: rawPath, query }
    const logged = log.add(seen)
    const disconnect = () => void source.socket.destroy()

    const respond = (answer: Answer): HttpServerResponse.HttpServerResponse => {
      if (Stream.isStream(answer)) {
        logged.status = 200
        return HttpServerResponse.stream(answer, {
          contentType: "application/json",
          headers: { "cache-control": cacheControl, date: clock.httpDate() }
        })
      }
      logged.status = answer.status
      const options = {
        status: answer.status,
        contentType: answer.contentType,
        headers: { "cache-control": cacheControl, date: clock.httpDate(), ...answer.headers }
      }
      return typeof answer.body === "string"
        ? HttpServerResponse.text(answer.body, options)
        : HttpServerResponse.uint8Array(answer.body, options)
    }

    const apply = Effect.suspend((): Effect.Effect<Answer> => {
      const denial = authenticate(options.token(), source.headers.authorization, { seen, path })
      if (denial !== undefined) return Effect.succeed(denial)
      const contentType = source.headers["content-type"]
      const answer = (body: string, type = contentType): Answer =>
        dispatch(options, {
          seen,
          path,
          host: source.headers.host ?? "",
          accept: source.headers.accept,
          contentType: type,
          userAgent: source.headers["user-agent"],
          body,
          timestamp: clock.timestamp,
          disconnect
        })
      if (source.headers["content-length"] === undefined && source.headers["transfer-encoding"] === undefined) {
        return Effect.succeed(answer(""))
      }
      const read: Effect.Effect<Answer, HttpServerError.HttpServerError> = isProtobuf(contentType)
        ? Effect.map(request.arrayBuffer, (bytes) =>
            Result.match(readProtobuf(new Uint8Array(bytes)), {
              onFailure: (lack) => refuseBody(options, path, lack),
              onSuccess: (draft) => answer(JSON.stringify(draft), "application/json")
            })
          )
        : Effect.map(request.text, (text) => answer(text))
      return Effect.match(Effect.interruptible(read), {
        onFailure: ({ reason }) =>
          reason._tag === "RequestParseError" && reason.reason === "BodyTooLarge"
            ? bodyTooLarge
            : badRequest("the body of the request could not be read"),
        onSuccess: (answer) => answer
      })
    })

    const matching = faults.take(seen)
    if (matching.length === 0) return Effect.map(apply, respond)
    const drop = Effect.andThen(Effect.sync(disconnect), Effect.never)
    const applyFaults = (moment: Moment): Effect.Effect<Answer | undefined> =>
      Effect.gen(function* () {
        for (const fault of matching) {
          if (at(fault) !== moment) continue
          if (fault._tag === "Delay") yield* Effect.sleep(fault.duration)
          else if (fault._tag === "Drop") return yield* drop
          else if (fault._tag === "Forbid") return forbid(fault.user ?? "kubelock", { seen, path })
          else return answerOf(fault)
        }
        return undefined
      })
    // The HTTP server runs handlers uninterruptibly. A handler that waits must not prevent it from stopping.
    return Effect.gen(function* () {
      const replacement = yield* applyFaults("Request")
      if (replacement !== undefined) return respond(replacement)
      const answer = yield* apply
      return respond((yield* applyFaults("Answer")) ?? answer)
    }).pipe(Effect.interruptible)
  }

  return Effect.flatMap(HttpServerRequest, handle)
}

const cacheControl = "no-cache, private"

const at = (fault: Fault): Moment => (fault._tag === "Forbid" ? "Request" : fault.at)

const answerOf = (fault: Extract<Fault, { readonly _tag: "Answer" }>): Answer => {
  const plain = textReply(fault.status, fault.body ?? "")
  return { ...plain, contentType: fault.contentType ?? plain.contentType, headers: fault.headers }
}
