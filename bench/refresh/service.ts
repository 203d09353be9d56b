/** A small service of the proof: callers that need a fresh access token all the time, and one way of getting it. */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as LockPolicy from "../../src/LockPolicy.ts"
import * as RefreshOnce from "../../src/RefreshOnce.ts"
import * as Connection from "../connection.ts"
import * as countingClient from "../countingClient.ts"
import * as DexClient from "../../src/testing/dex/DexClient.ts"
import * as Tally from "../tally.ts"
import * as careless from "./careless.ts"
import type { Job, Outcome } from "./job.ts"
import * as Upstream from "./upstream.ts"

/** Where the token of a proof is kept. */
export const placeOf = (dex: boolean): RefreshOnce.Location =>
  dex ? RefreshOnce.inRefreshToken : RefreshOnce.inSecret("token")

const tokensOf = Effect.fnUntraced(function* (job: Job) {
  const place = placeOf(job.dex)
  const refresh = Upstream.refresh({ ...job, first: Redacted.make(job.first) })
  if (job.way === "kubelock") {
    const policy = LockPolicy.make({
      ttl: job.ttl,
      waitSchedule: Schedule.spaced(job.poll).pipe(Schedule.upTo({ duration: "30 seconds" }))
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
export const run = (job: Job): Effect.Effect<Outcome> =>
  Effect.gen(function* () {
    const tally = Tally.make(1)
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
      Effect.provide(
        Layer.merge(
          countingClient.layer(tally).pipe(Layer.provide(Connection.layer(job.connection))),
          FetchHttpClient.layer
        )
      ),
      Effect.catch((error) => Effect.succeed(messageOf(error).message))
    )
    const requests = Tally.counters
      .filter((counter) => !["timeouts", "errors", "conflicts"].includes(counter))
      .reduce((sum, counter) => sum + Tally.counted(tally, counter), 0)
    return { service: job.service, rotation, requests, millis, problem }
  })

const messageOf = (error: unknown): { readonly message: string } => ({
  message: typeof error === "object" && error !== null && "message" in error ? String(error.message) : String(error)
})

/** How long tokens live by default: long enough to be had once, short enough for thousands of rounds. */
export const lifetime = Duration.millis(15)
