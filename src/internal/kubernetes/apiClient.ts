/** One request to the API server and its answer, bounded in time and size: what comes of it. */
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
import type { KubeConfigError, KubernetesClient } from "../../KubernetesClient.ts"
import * as LockError from "../../LockError.ts"
import * as LockMetrics from "../../LockMetrics.ts"
import type { ObjectSnapshot, ServerTime } from "../../ObjectStore.ts"
import * as objects from "./decode.ts"
import * as serverClock from "../time/serverClock.ts"
import * as status from "./responseError.ts"
import * as ClockReading from "../time/clockReading.ts"
import type * as transport from "./http.ts"

// The largest answer, or line of a watch, that is read: annotations take at most 256 KiB, so this is plenty.
const maxBytes = 8 * 1024 * 1024

/** How requests to one cluster are made. */
export interface ApiClient {
  /** Sends and answers with the body read, whatever the status. */
  readonly ask: (
    request: transport.Request,
    about: status.RequestInfo
  ) => Effect.Effect<transport.Response, LockError.Unavailable | LockError.Unauthorized>
  /** Sends and answers as soon as the head of a successful answer is there, its lines still to come. */
  readonly watch: (
    request: transport.Request,
    about: status.RequestInfo
  ) => Effect.Effect<
    transport.Response | transport.LineStream,
    LockError.Unavailable | LockError.Unauthorized,
    Scope.Scope
  >
  /** The clock on which expiries are judged. */
  readonly now: Effect.Effect<ServerTime>
}

/** Makes the exchange: `requestTimeout` bounds each request, `clock` says whose clock `now` is. */
export const make = (
  client: KubernetesClient["Service"],
  options: { readonly requestTimeout: Duration.Duration; readonly clock: "server" | "local" }
): ApiClient => {
  let learnt: serverClock.ServerClock | undefined
  let skewReported = false
  const dateOf = remembering(millisOf)

  const learn = (
    sent: ClockReading.ClockReading,
    received: ClockReading.ClockReading,
    headers: transport.ResponseHead["headers"]
  ) => {
    const header = headers["date"]
    const date = typeof header === "string" ? dateOf(header) : undefined
    if (date === undefined) return Effect.void
    learnt = serverClock.learn(learnt, { sent, received, date })
    const { earliest, latest } = learnt.time
    const skew = Math.max(earliest - received.wall, received.wall - latest)
    if (skewReported || skew <= reportableSkew) return Effect.void
    skewReported = true
    return Effect.logWarning(
      `This machine's clock differs from the API server's by ${Duration.format(Duration.millis(Math.round(skew)))} or more.`
    )
  }

  // Times a request, and learns from its answer what time it is there.
  const exchanged = <A extends transport.ResponseHead, R>(
    about: status.RequestInfo,
    sending: Effect.Effect<A, transport.TransportError | KubeConfigError, R>
  ): Effect.Effect<A, LockError.Unavailable | LockError.Unauthorized, R> =>
    Effect.withFiber((fiber) => {
      const clock = fiber.getRef(Clock.Clock)
      const sent = ClockReading.read(clock)
      return Effect.mapError(
        Effect.onExitPrimitive(sending, (exit) => {
          const received = ClockReading.read(clock)
          const metric = secondsOf(about.verb, Exit.isSuccess(exit) ? String(exit.value.status) : "none")
          metric.updateUnsafe(ClockReading.elapsed(sent, received).most / 1000, fiber.context)
          return Exit.isSuccess(exit) ? learn(sent, received, exit.value.headers) : undefined
        }),
        (error) => (error._tag === "KubeConfigError" ? unauthorized(about, error) : noAnswer(about, error.detail))
      )
    })

  const bounds = { millis: Duration.toMillis(options.requestTimeout), bytes: maxBytes }

  return {
    ask: (request, about) => exchanged(about, client.ask(request, bounds)),
    watch: (request, about) => exchanged(about, client.watch(request, bounds)),
    now:
      options.clock === "local"
        ? Effect.map(Clock.Clock, localTimeOf)
        : Effect.map(Clock.Clock, (clock) =>
            learnt === undefined ? localTimeOf(clock) : serverClock.at(learnt, ClockReading.read(clock))
          )
  }
}

/** Reads the metadata out of a successful answer, and the content where there is one; any other becomes its error. */
export const snapshotOf = (
  answer: transport.Response,
  about: status.RequestInfo
): Effect.Effect<ObjectSnapshot, LockError.StoreError> => {
  if (answer.status < 200 || answer.status > 299) return Effect.fail(status.toError(answer, about))
  const metadata = objects.fromJson(answer.body)
  return metadata === undefined
    ? Effect.fail(noAnswer(about, `the answer (${answer.status}) is not a Kubernetes object`))
    : Effect.succeed(metadata)
}

/** What a request that got no usable answer fails with. */
export const noAnswer = (about: status.RequestInfo, detail: string): LockError.Unavailable =>
  new LockError.Unavailable({ object: about.object, verb: about.verb, detail })

// For a second all answers have the same date.
const remembering = <A>(read: (text: string) => A): ((text: string) => A) => {
  let last: { readonly text: string; readonly read: A } | undefined
  return (text) => {
    if (last?.text !== text) last = { text, read: read(text) }
    return last.read
  }
}

const millisOf = (date: string): number | undefined =>
  Option.getOrUndefined(Option.map(Result.getSuccess(Headers.parseHttpDate(date)), DateTime.toEpochMillis))

const secondsOf = (verb: string, status: string): Metric.Histogram<number> => {
  const key = `${verb} ${status}`
  let metric = seconds.get(key)
  if (metric === undefined) {
    metric = Metric.withAttributes(LockMetrics.requestSeconds, { verb, status })
    seconds.set(key, metric)
  }
  return metric
}
const seconds = new Map<string, Metric.Histogram<number>>()

const reportableSkew = 2000

const localTimeOf = (clock: Clock.Clock): ServerTime => {
  const now = clock.currentTimeMillisUnsafe()
  return { earliest: now, latest: now }
}

const unauthorized = ({ object }: status.RequestInfo, { detail }: KubeConfigError): LockError.Unauthorized =>
  new LockError.Unauthorized({ object, detail })
