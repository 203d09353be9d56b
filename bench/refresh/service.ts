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
import * as DexClient from "../../src/testing/dex/DexClient.ts"
import * as Connection from "../harness/connection.ts"
import * as requests from "../harness/requests.ts"
import * as Workers from "../harness/workers.ts"
import * as careless from "./careless.ts"
import * as Upstream from "./upstream.ts"

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
  readonly way: "kubelock" | "dex" | "none"
  readonly connection: Connection.Connection
  readonly dex: boolean
  readonly namespace: string
  readonly id: string
  readonly provider: string
  readonly first: string
  readonly callers: number
  readonly rounds: number
  readonly lifetimeMillis: number
  readonly ttlMillis: number
  readonly pollMillis: number
}

/** The highest rotation seen, requests to the API server, the time of each `get`, and why the service ended early. */
export interface Outcome {
  readonly service: string
  readonly rotation: number
  readonly requests: number
  readonly millis: ReadonlyArray<number>
  readonly problem: string | null
}

/** How long tokens live by default: long enough to be used once, short enough for thousands of rounds. */
export const lifetimeMillis = 15

/** Where the token of a proof is kept. */
export const placeOf = (dex: boolean): RefreshOnce.Location =>
  dex ? RefreshOnce.inRefreshToken : RefreshOnce.inSecret("token")

const entry = new URL("serviceMain.ts", import.meta.url)

/** Starts a thread that runs services. */
export const thread = () => Workers.thread(entry)

/** Starts a process that runs services. */
export const process = () => Workers.process(entry)

/** Runs a service in a worker, which ends with the scope. */
export const runIn = (spawn: typeof thread | typeof process, job: Job) =>
  Effect.flatMap(Workers.start<Job, Outcome>(job.service, spawn), (ask) => ask(job))

const tokensOf = Effect.fnUntraced(function* (job: Job) {
  const place = placeOf(job.dex)
  const refresh = Upstream.refresh(job)
  if (job.way === "kubelock") {
    const policy = LockPolicy.make({
      ttl: Duration.millis(job.ttlMillis),
      waitSchedule: Schedule.spaced(job.pollMillis).pipe(Schedule.upTo({ duration: "30 seconds" }))
    })
    const tokens = yield* RefreshOnce.make({
      location: place,
      policy,
      identity: job.service,
      namespace: job.namespace,
      schema: Upstream.Token,
      isFresh: Upstream.isFresh,
      refresh
    })
    return tokens.get(job.id)
  }
  const client = yield* DexClient.make({ resource: place.resource, namespace: job.namespace })
  return careless.make({ client, place, locked: job.way === "dex", isFresh: Upstream.isFresh, refresh })(job.id)
})

/** Runs a service to its end. */
export const run = Effect.fnUntraced(function* (job: Job): Effect.fn.Return<Outcome> {
  const before = requests.counted()
  const millis: Array<number> = []
  let rotation = 0
  const caller = <E extends { readonly message?: string }, R>(get: Effect.Effect<Upstream.Token, E, R>) =>
    Effect.gen(function* () {
      for (;;) {
        const began = yield* Clock.monotonicTimeNanos
        const token = yield* get
        millis.push(Number((yield* Clock.monotonicTimeNanos) - began) / 1e6)
        rotation = Math.max(rotation, token.rotation)
        if (rotation >= job.rounds) return
        const left = DateTime.toEpochMillis(token.expiresAt) - (yield* Clock.currentTimeMillis)
        yield* Effect.sleep(Math.max(0, left))
      }
    })
  const problem = yield* Effect.gen(function* () {
    const get = yield* tokensOf(job)
    yield* Effect.all(
      Array.from({ length: job.callers }, () => caller(Effect.mapError(get, messageOf))),
      { concurrency: "unbounded" }
    )
    return null
  }).pipe(
    Effect.scoped,
    Effect.provide(Layer.merge(Connection.layer(job.connection), FetchHttpClient.layer)),
    Effect.catch((error) => Effect.succeed(messageOf(error).message))
  )
  return { service: job.service, rotation, requests: requests.total(requests.since(before)), millis, problem }
})

const messageOf = (error: unknown): { readonly message: string } => ({
  message: typeof error === "object" && error !== null && "message" in error ? String(error.message) : String(error)
})
