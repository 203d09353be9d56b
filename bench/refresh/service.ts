/** A small service of the proof: callers that need a fresh access token all the time, and one way to get it. */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as LockPolicy from "../../src/LockPolicy.ts"
import * as RefreshOnce from "../../src/RefreshOnce.ts"
import * as Connection from "../../src/cli/bench/harness/connection.ts"
import * as requests from "../../src/cli/bench/harness/requests.ts"
import * as Workers from "../../src/cli/bench/harness/workers.ts"
import { timed } from "../../src/cli/bench/harness/statistics.ts"
import * as Upstream from "./upstream.ts"
import * as Ways from "./ways.ts"

/**
 * The work of one service.
 *
 * - `way`: how it keeps other services from refreshing at the same time.
 * - `callers`: how many fibers ask for a token again and again, each time when theirs is stale. So all callers of all
 *   services ask at the same time. They end with the token of rotation `rounds`.
 * - `first`: the first refresh token of the grant.
 */
export interface Job {
  readonly service: string
  readonly way: Ways.Way
  readonly connection: Connection.Connection
  readonly dex: boolean
  readonly namespace: string
  readonly id: string
  readonly provider: string
  readonly upstreamMillis: number
  readonly first: string
  readonly callers: number
  readonly rounds: number
  readonly lifetimeMillis: number
  readonly ttlMillis: number
  readonly pollMillis: number
}

/**
 * The highest rotation seen, requests to the API server, and why the service ended early. `first` says the same of the moment at which it
 * had its first token. `millis` is the time of each `get`, and `behindMillis` that from the provider's answer to the `get` that brings it,
 * for each caller.
 */
export interface Outcome {
  readonly service: string
  readonly first: { readonly rotation: number; readonly requests: number }
  readonly rotation: number
  readonly requests: number
  readonly millis: ReadonlyArray<number>
  readonly behindMillis: ReadonlyArray<number>
  readonly problem: string | null
}

/** How long tokens live by default: long enough to be used once, short enough for thousands of rounds. */
export const lifetimeMillis = 15

/** Where the token of a proof is kept. */
export const locationOf = (dex: boolean): RefreshOnce.Location =>
  dex ? RefreshOnce.inRefreshToken : RefreshOnce.inSecret("token")

const entry = new URL("serviceMain.ts", import.meta.url)

/** Starts a thread that runs services. */
export const thread = () => Workers.thread(entry)

/** Starts a process that runs services. */
export const process = (stderr?: "inherit" | "pipe") => Workers.process(entry, { stderr })

/** Runs a service in a worker, which ends with the scope. */
export const runIn = (spawn: typeof thread | typeof process, job: Job) =>
  Effect.flatMap(
    Workers.start<Job, Outcome>(job.service, () => spawn()),
    (ask) => ask(job)
  )

const getter = (job: Job) =>
  Ways.make(job.way, {
    location: locationOf(job.dex),
    namespace: job.namespace,
    identity: job.service,
    policy: LockPolicy.make({
      ttl: Duration.millis(job.ttlMillis),
      waitSchedule: Schedule.spaced(job.pollMillis).pipe(Schedule.upTo({ duration: "30 seconds" }))
    }),
    // In proportion to the lease, as by default, so that eras are short in which services are killed.
    takeoverGrace: job.ttlMillis,
    isFresh: Upstream.isFresh,
    refresh: Upstream.refresh(job)
  })

/** Runs a service to its end. */
export const run = Effect.fnUntraced(function* (job: Job): Effect.fn.Return<Outcome> {
  const before = requests.counted()
  const millis: Array<number> = []
  const behindMillis: Array<number> = []
  let rotation = 0
  let first: Outcome["first"] | undefined
  const sent = () => requests.total(requests.since(before))
  const caller = <R>(get: Ways.Get<R>) =>
    Effect.gen(function* () {
      for (;;) {
        const asked = yield* Clock.currentTimeMillis
        const token = yield* timed(millis, get(job.id))
        const answered = Upstream.answeredAt(token, job)
        // One that asks later than the provider answered waits for less.
        if (answered !== undefined) {
          behindMillis.push((yield* Clock.currentTimeMillis) - Math.max(asked, answered))
        }
        rotation = Math.max(rotation, token.rotation)
        first ??= { rotation, requests: sent() }
        if (rotation >= job.rounds) return
        const left = DateTime.toEpochMillis(token.expiresAt) - (yield* Clock.currentTimeMillis)
        yield* Effect.sleep(Math.max(0, left))
      }
    })
  const problem = yield* Effect.gen(function* () {
    const get = yield* getter(job)
    yield* Effect.all(
      Array.from({ length: job.callers }, () => caller(get)),
      { concurrency: "unbounded" }
    )
    return null
  }).pipe(
    Effect.scoped,
    Effect.provide(Layer.merge(Connection.layer(job.connection), FetchHttpClient.layer)),
    Effect.catch((error) => Effect.succeed(messageOf(error)))
  )
  return {
    service: job.service,
    first: first ?? { rotation, requests: sent() },
    rotation,
    requests: sent(),
    millis,
    behindMillis,
    problem
  }
})

const messageOf = (error: unknown): string =>
  typeof error === "object" && error !== null && "message" in error ? String(error.message) : String(error)
