/**
 * What the main thread asks of a contending thread: a typed request over a worker.
 *
 * Only the question and its end travel as messages. Figures and proof are in shared memory, handed over when a thread
 * is started (`Shared`): RPC encodes what it sends, and memory that is to be shared must not be.
 */
import * as Schema from "effect/Schema"
import * as Rpc from "effect/rpc/Rpc"
import * as RpcGroup from "effect/rpc/RpcGroup"
import { Connection } from "./connection.ts"
import type { Control } from "./control.ts"
import type { Tally } from "./tally.ts"
import type { Witness } from "./witness.ts"

/** Whose lock. */
export const Protocol = Schema.Literals(["kubelock", "dex"])

/** Whose lock. */
export type Protocol = typeof Protocol.Type

/** The proof and the figures of one protocol. */
export interface Records {
  readonly witness: Witness
  readonly tally: Tally
}

/** The memory that all threads share. */
export interface Shared {
  readonly control: Control
  readonly records: Readonly<Record<Protocol, Records>>
}

/**
 * One round, for one of the threads.
 *
 * `number` counts rounds from 1, `thread` counts threads from 0. `ids` are the names of the objects to lock.
 */
export const Round = Schema.Struct({
  number: Schema.Int,
  protocol: Protocol,
  thread: Schema.Int,
  threads: Schema.Int,
  fibers: Schema.Int,
  connection: Connection,
  resource: Schema.Struct({
    group: Schema.String,
    version: Schema.String,
    plural: Schema.String,
    kind: Schema.String,
    namespaced: Schema.Boolean,
    createIfMissing: Schema.Boolean,
    sharedWithDex: Schema.Boolean
  }),
  namespace: Schema.String,
  ids: Schema.Array(Schema.String),
  hold: Schema.DurationFromMillis,
  duration: Schema.DurationFromMillis,
  seed: Schema.Int
})

/** One round, for one of the threads. */
export type Round = typeof Round.Type

/** How the round went for a thread: how long it took, and the first error that was not a timeout. */
export const RoundEnd = Schema.Struct({ millis: Schema.Finite, firstError: Schema.UndefinedOr(Schema.String) })

/** The round could not begin. */
export class RoundFailed extends Schema.Error<RoundFailed>("kubelock/bench/contest/RoundFailed")({
  _tag: Schema.tag("RoundFailed"),
  detail: Schema.String
}) {
  override get message(): string {
    return this.detail
  }
}

/** The requests that a contending thread answers. */
export class Contest extends RpcGroup.make(
  Rpc.make("Contend", { payload: Round.fields, success: RoundEnd, error: RoundFailed })
) {}
