/**
 * The client of one cluster: sends requests within limits of time and size, and learns the server's clock from the
 * responses.
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Headers from "effect/http/Headers"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as LockError from "../../LockError.ts"
import * as LockMetrics from "../../LockMetrics.ts"
import type { ObjectSnapshot, ServerTime } from "../../ObjectStore.ts"
import * as ClockReading from "../time/clockReading.ts"
import * as ServerClock from "../time/serverClock.ts"
import type { Client, KubeConfigError } from "./client.ts"
import * as decode from "./decode.ts"
import type * as Http from "./http.ts"
import * as responseError from "./responseError.ts"

// The largest response, or line of a watch, that is read. Kubernetes allows 256 KiB of annotations, so this is plenty.
const maxBytes = 8 * 1024 * 1024

/** The client of one cluster. */
export interface ApiClient {
  /** Succeeds with the whole response, whatever its status. */
  readonly request: (
    request: Http.Request,
    info: responseError.RequestInfo
  ) => Effect.Effect<Http.Response, LockError.Unavailable | LockError.Unauthorized>
  /** Succeeds when the head of a successful response has arrived. Its lines follow until the scope closes. */
  readonly watch: (
    request: Http.Request,
    info: responseError.RequestInfo
  ) => Effect.Effect<Http.Response | Http.LineStream, LockError.Unavailable | LockError.Unauthorized, Scope.Scope>
  /** The time on the clock that expiries are judged by. Makes no request. */
  readonly now: Effect.Effect<ServerTime>
}

/** Makes the client. `requestTimeout` limits each request. `clock` is the clock that `now` reads. */
export const make = (
  client: Client,
  options: { readonly requestTimeout: Duration.Duration; readonly clock: "server" | "local" }
): ApiClient => {
  let serverClock: ServerClock.ServerClock | undefined
  let isSkewReported = false
  const parseDate = memoizeLast(millisOf)

  const learnTime = (
    sent: ClockReading.ClockReading,
    received: ClockReading.ClockReading,
    headers: Http.ResponseHead["headers"]
  ) => {
    const header = headers["date"]
    const date = typeof header === "string" ? parseDate(header) : undefined
    if (date === undefined) return Effect.void
    serverClock = ServerClock.learn(serverClock, { sent, received, date })
    const { earliest, latest } = serverClock.time
    const skew = Math.max(earliest - received.wall, received.wall - latest)
    if (isSkewReported || skew <= reportableSkew) return Effect.void
    isSkewReported = true
    return Effect.logWarning(
      `The clock of this machine differs from the API server's by at least ${Duration.format(Duration.millis(Math.round(skew)))}.`
    )
  }

  // Measures a request, and learns the server's time from its response.
  const measured = <A extends Http.ResponseHead, R>(
    info: responseError.RequestInfo,
    send: Effect.Effect<A, Http.TransportError | KubeConfigError, R>
  ): Effect.Effect<A, LockError.Unavailable | LockError.Unauthorized, R> =>
    Effect.withFiber((fiber) => {
      const clock = fiber.getRef(Clock.Clock)
      const sent = ClockReading.read(clock)
      return Effect.mapError(
        Effect.onExitPrimitive(send, (exit) => {
          const received = ClockReading.read(clock)
          const metric = requestSecondsOf(info.verb, Exit.isSuccess(exit) ? String(exit.value.status) : "none")
          metric.updateUnsafe(ClockReading.elapsed(sent, received).max / 1000, fiber.context)
          return Exit.isSuccess(exit) ? learnTime(sent, received, exit.value.headers) : undefined
        }),
        (error) => (error._tag === "KubeConfigError" ? unauthorized(info, error) : unavailable(info, error.detail))
      )
    })

  const limits = { timeoutMillis: Duration.toMillis(options.requestTimeout), maxBytes }

  return {
    request: (request, info) => measured(info, client.request(request, limits)),
    watch: (request, info) => measured(info, client.watch(request, limits)),
    now:
      options.clock === "local"
        ? Effect.map(Clock.Clock, localTimeOf)
        : Effect.map(Clock.Clock, (clock) =>
            serverClock === undefined ? localTimeOf(clock) : ServerClock.at(serverClock, ClockReading.read(clock))
          )
  }
}

/** Decodes the object in a successful response. Any other response becomes its error. */
export const snapshotOf = (
  response: Http.Response,
  info: responseError.RequestInfo
): Effect.Effect<ObjectSnapshot, LockError.StoreError> => {
  if (response.status < 200 || response.status > 299) return Effect.fail(responseError.toError(response, info))
  const snapshot = decode.snapshotFromJson(response.body)
  return snapshot === undefined
    ? Effect.fail(unavailable(info, `the response (${response.status}) is not a Kubernetes object`))
    : Effect.succeed(snapshot)
}

/** The error of a request without a usable response. */
export const unavailable = (info: responseError.RequestInfo, detail: string): LockError.Unavailable =>
  new LockError.Unavailable({ object: info.object, verb: info.verb, detail })

const unauthorized = ({ object }: responseError.RequestInfo, { detail }: KubeConfigError): LockError.Unauthorized =>
  new LockError.Unauthorized({ object, detail })

// All responses within one second have the same date.
const memoizeLast = <A>(parse: (text: string) => A): ((text: string) => A) => {
  let last: { readonly text: string; readonly value: A } | undefined
  return (text) => {
    if (last?.text !== text) last = { text, value: parse(text) }
    return last.value
  }
}

const millisOf = (date: string): number | undefined =>
  Option.getOrUndefined(Option.map(Result.getSuccess(Headers.parseHttpDate(date)), DateTime.toEpochMillis))

const requestSecondsOf = (verb: string, status: string): Metric.Histogram<number> => {
  const key = `${verb} ${status}`
  let metric = requestSeconds.get(key)
  if (metric === undefined) {
    metric = Metric.withAttributes(LockMetrics.requestSeconds, { verb, status })
    requestSeconds.set(key, metric)
  }
  return metric
}
const requestSeconds = new Map<string, Metric.Histogram<number>>()

const reportableSkew = 2000

const localTimeOf = (clock: Clock.Clock): ServerTime => {
  const now = clock.currentTimeMillisUnsafe()
  return { earliest: now, latest: now }
}
