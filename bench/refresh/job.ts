/** What a service of the proof is told, and what it tells at its end: both cross threads and processes as JSON. */
import * as Schema from "effect/Schema"
import { Connection } from "../connection.ts"

/** How a service keeps others from refreshing at the same time. */
export const Way = Schema.Literals(["kubelock", "dex", "none"])

/** How a service keeps others from refreshing at the same time. */
export type Way = typeof Way.Type

/**
 * The work of one service.
 *
 * `callers` fibers ask for a token again and again, each time when the one they have is stale: all of all services at the
 * same time. They end with the token of rotation `rounds`. `first` is the grant's first refresh token.
 */
export const Job = Schema.Struct({
  service: Schema.String,
  way: Way,
  connection: Connection,
  dex: Schema.Boolean,
  namespace: Schema.String,
  id: Schema.String,
  provider: Schema.String,
  first: Schema.String,
  callers: Schema.Int,
  rounds: Schema.Int,
  lifetime: Schema.DurationFromMillis,
  ttl: Schema.DurationFromMillis,
  poll: Schema.DurationFromMillis
})

/** The work of one service. */
export type Job = typeof Job.Type

/** How it went: the highest rotation seen, requests to the API server, each `get` in milliseconds, why it ended early. */
export const Outcome = Schema.Struct({
  service: Schema.String,
  rotation: Schema.Int,
  requests: Schema.Int,
  millis: Schema.Array(Schema.Finite),
  problem: Schema.NullOr(Schema.String)
})

/** How it went. */
export type Outcome = typeof Outcome.Type
