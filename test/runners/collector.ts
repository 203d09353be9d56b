/** The outside witness: the collector that the example posts its readings to, and what it makes of them. */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { createServer } from "node:http"

/** A reading. `at` is in nanoseconds on the machine's monotonic clock, which all processes share. */
export const Reading = Schema.Struct({
  meter: Schema.String,
  runner: Schema.String,
  reader: Schema.String,
  at: Schema.BigIntFromString
})
export type Reading = typeof Reading.Type

/** The collector. `readings` are in the order in which they came. */
export interface Collector {
  readonly url: string
  readonly readings: ReadonlyArray<Reading>
}

/** Now, as in readings. */
export const now = (): bigint => process.hrtime.bigint()

/** Starts it. */
export const make: Effect.Effect<Collector, never, Scope.Scope> = Effect.gen(function* () {
  const readings: Array<Reading> = []
  // A reader that was suspended in the middle of a request can still finish it.
  const patient = { keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0 }
  const server = yield* NodeHttpServer.make(() => createServer(patient), {
    host: "127.0.0.1",
    port: 0,
    gracefulShutdownTimeout: 50
  }).pipe(Effect.orDie)
  yield* server.serve(
    HttpServerRequest.schemaBodyJson(Reading).pipe(
      Effect.map((reading) => {
        readings.push(reading)
        return HttpServerResponse.empty()
      }),
      Effect.orDie
    )
  )
  return { url: HttpServer.formatAddress(server.address), readings }
})

/** The readings that were taken by a reader after another one of the same meter had begun: none, if each has one at a time. */
export const overlaps = (readings: ReadonlyArray<Reading>): ReadonlyArray<Reading> => {
  const current = new Map<string, string>()
  const gone = new Set<string>()
  return readings
    .toSorted((a, b) => Number(a.at - b.at))
    .filter(({ meter, reader }) => {
      if (gone.has(reader)) return true
      const before = current.get(meter)
      if (before !== undefined && before !== reader) gone.add(before)
      current.set(meter, reader)
      return false
    })
}

/** How many meters have been read since then, by a runner that counts. */
export const metersSince = (
  readings: ReadonlyArray<Reading>,
  since: bigint,
  counts: (runner: string) => boolean
): number => new Set(readings.filter(({ at, runner }) => at > since && counts(runner)).map(({ meter }) => meter)).size
