/**
 * The client of one cluster: sends requests within limits of time and size, and learns the server's clock from the
 * responses.
 */
import * as Cause from "effect/Cause"
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
import type { ServerTime } from "../../ObjectStore.ts"
import * as ClockReading from "../time/clockReading.ts"
import * as rfc3339 from "../time/rfc3339.ts"
import * as ServerClock from "../time/serverClock.ts"
import type { Client } from "./client.ts"
import type { KubeConfigError } from "./kubeConfigError.ts"
import * as decode from "./decode.ts"
import type * as Http from "./http.ts"
import * as responseError from "./responseError.ts"
import { quiet, quietly } from "../tracing.ts"

// The largest response, or line of a watch, that is read. Kubernetes allows 256 KiB of annotations, so this is plenty.
const maxBytes = 8 * 1024 * 1024

/** The client of one cluster. */
export interface ApiClient {
  /** Succeeds with the whole response, whatever its status. */
  readonly request: (
    request: Http.Request,
    info: responseError.RequestInfo
  ) => Effect.Effect<Http.Response, LockError.Unavailable | LockError.Untrusted>
  /** Succeeds when the head of a successful response has arrived. Its lines follow until the scope closes, or the watch has lasted. */
  readonly watch: (
    request: Http.Request,
    info: responseError.RequestInfo,
    options: Pick<Http.Limits, "lastsMillis" | "skips">
  ) => Effect.Effect<Http.Response | Http.LineStream, LockError.Unavailable | LockError.Untrusted, Scope.Scope>
  /** The time on the clock that expiries are judged by. Makes no request. */
  readonly now: Effect.Effect<ServerTime>
}

/** Makes the client. `requestTimeout` limits each request. `clock` is the clock that `now` reads. */
export const make = (
  client: Client,
  options: { readonly requestTimeout: Duration.Duration; readonly clock: "server" | "local" }
): ApiClient => {
  let serverClock = ServerClock.initial
  let hasClock = true
  let isUnreachable = false
  const reported = new Set<string>()
  const parseDate = memoizeLast(millisOf)

  const learnTime = (
    sent: ClockReading.ClockReading,
    received: ClockReading.ClockReading,
    headers: Http.ResponseHead["headers"]
  ) => {
    const header = headers["date"]
    const date = typeof header === "string" ? parseDate(header) : undefined
    hasClock = date !== undefined
    if (date === undefined) {
      return warnOnce(
        "Date",
        `A response of the API server has no usable Date header. Without a later one, leases are judged by the clock of this machine, which must agree with those of the other holders within ${Duration.format(Duration.millis(localClockError))}.`
      )
    }
    serverClock = ServerClock.learn(serverClock, { sent, received, date })
    const { estimate, unconfirmed } = serverClock
    if (unconfirmed !== undefined) {
      const { earliest } = unconfirmed.time
      return warnOnce(
        "absurd",
        `A response of the API server says that it is ${rfc3339.format(Math.floor(earliest / 1000))}. That is not believed unless another response confirms it.`
      )
    }
    if (estimate === undefined) return undefined
    const { earliest, latest } = estimate.time
    const skew = Math.max(earliest - received.wall, received.wall - latest)
    return skew <= reportableSkew
      ? undefined
      : warnOnce(
          "skew",
          `The clock of this machine differs from the API server's by at least ${Duration.format(Duration.millis(Math.round(skew)))}.`
        )
  }

  const warnOnce = (what: string, message: string) => {
    if (reported.has(what)) return undefined
    reported.add(what)
    return quiet(Effect.logWarning(message))
  }

  // The first failure is worth a line: the requests that follow may go on for long. So is the first after an answer.
  const warnIfUnreachable = (cause: Cause.Cause<Http.RequestError | KubeConfigError>) => {
    const problem = Option.getOrUndefined(Option.flatMap(Cause.findErrorOption(cause), reachabilityProblem))
    if (problem === undefined || isUnreachable) return undefined
    isUnreachable = true
    return quiet(Effect.logWarning(`${problem} Requests are tried again.`))
  }

  const reachabilityProblem = (error: Http.RequestError | KubeConfigError): Option.Option<string> => {
    if (error._tag === "KubeConfigError") {
      return Option.some(`There are no credentials for the API server ${client.server}: ${error.detail}.`)
    }
    return error._tag === "TransportError" && error.isUnreachable === true
      ? Option.some(`The API server ${client.server} cannot be reached: ${error.detail}.`)
      : Option.none()
  }

  // Measures a request, and learns the server's time from its response.
  const measured = <A extends Http.ResponseHead, R>(
    info: responseError.RequestInfo,
    send: Effect.Effect<A, Http.RequestError | KubeConfigError, R>
  ): Effect.Effect<A, LockError.Unavailable | LockError.Untrusted, R> =>
    Effect.withFiber((fiber) => {
      const clock = fiber.getRef(Clock.Clock)
      const sent = ClockReading.read(clock)
      return Effect.mapError(
        Effect.onExitPrimitive(send, (exit) => {
          const received = ClockReading.read(clock)
          const metric = requestSecondsOf(info.verb, Exit.isSuccess(exit) ? String(exit.value.status) : "none")
          quietly(() => metric.updateUnsafe(ClockReading.elapsed(sent, received).max / 1000, fiber.context))
          if (Exit.isFailure(exit)) return warnIfUnreachable(exit.cause)
          isUnreachable = false
          return learnTime(sent, received, exit.value.headers)
        }),
        (error) => errorOf(info, error)
      )
    })

  const limits = { timeoutMillis: Duration.toMillis(options.requestTimeout), maxBytes }

  return {
    request: (request, info) => measured(info, client.request(request, limits)),
    watch: (request, info, { lastsMillis, skips }) =>
      measured(info, client.watch(request, { ...limits, lastsMillis, skips })),
    now:
      options.clock === "local"
        ? Effect.map(Clock.Clock, (clock) => localTimeOf(clock, 0))
        : Effect.map(Clock.Clock, (clock) =>
            hasClock
              ? ServerClock.at(serverClock, ClockReading.read(clock))
              : narrower(ServerClock.at(serverClock, ClockReading.read(clock)), localTimeOf(clock, localClockError))
          )
  }
}

/** Decodes the object in a successful response, with its content or without. Any other response becomes its error. */
export const objectIn = (
  response: Http.Response,
  info: responseError.RequestInfo,
  includesContent: boolean
): Effect.Effect<decode.Decoded, LockError.StoreError> => {
  if (response.status < 200 || response.status > 299) return Effect.fail(responseError.toError(response, info))
  const object = decode.objectFromJson(response.body, includesContent)
  return object === undefined
    ? Effect.fail(unavailable(info, `the response (${response.status}) is not a Kubernetes object`))
    : Effect.succeed(object)
}

/** The error of a request without a usable response. */
export const unavailable = (info: responseError.RequestInfo, detail: string): LockError.Unavailable =>
  new LockError.Unavailable({ object: info.object, verb: info.verb, detail })

const errorOf = (
  info: responseError.RequestInfo,
  { _tag, detail }: Http.RequestError | KubeConfigError
): LockError.Unavailable | LockError.Untrusted => {
  switch (_tag) {
    case "UntrustedServer":
      return new LockError.Untrusted({ object: info.object, detail })
    case "KubeConfigError":
      // The credentials could be read when the client was made. So that they cannot be read now may pass.
      return unavailable(info, `no credentials: ${detail}`)
    case "TransportError":
      return unavailable(info, detail)
  }
}

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

/** By how much the clock of this machine must be off to be worth a line of log, in milliseconds. Our choice. */
export const reportableSkew = 2000

/** By how much the clock of this machine may be off if no response tells the server's time, in milliseconds. Our choice. */
export const localClockError = 2500

const localTimeOf = (clock: Clock.Clock, error: number): ServerTime => {
  const now = clock.currentTimeMillisUnsafe()
  return { earliest: now - error, latest: now + error }
}

const narrower = (a: ServerTime, b: ServerTime): ServerTime => (a.latest - a.earliest < b.latest - b.earliest ? a : b)
