/** The contending threads, as a pool that plays rounds. */
import * as NodeWorker from "@effect/platform-node/NodeWorker"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as RpcClient from "effect/rpc/RpcClient"
import type { RpcClientError } from "effect/rpc/RpcClientError"
import type { WorkerError } from "effect/workers/WorkerError"
import { Worker } from "node:worker_threads"
import { Contest, type Round, type RoundEnd, type RoundFailed, type Shared } from "./contest.ts"

/** Service tag of the threads. `play` plays a round in all of them, and ends when the last one has. */
export class Threads extends Context.Service<
  Threads,
  {
    readonly play: (
      round: Omit<Round, "thread" | "threads">
    ) => Effect.Effect<ReadonlyArray<typeof RoundEnd.Type>, RoundFailed | RpcClientError>
  }
>()("kubelock/bench/Threads") {}

/** Starts the threads. `concurrency: 1` gives every round of a thread to another one of them. */
export const layer = (threads: number, shared: Shared): Layer.Layer<Threads, WorkerError> =>
  Layer.effect(
    Threads,
    Effect.map(RpcClient.make(Contest, { disableTracing: true }), ({ Contend }) =>
      Threads.of({
        play: (round) =>
          Effect.forEach(Array.from({ length: threads }).keys(), (thread) => Contend({ ...round, thread, threads }), {
            concurrency: "unbounded"
          })
      })
    )
  ).pipe(
    Layer.provide(RpcClient.layerProtocolWorker({ size: threads, concurrency: 1 })),
    Layer.provide(NodeWorker.layer(() => new Worker(new URL("worker.ts", import.meta.url), { workerData: shared })))
  )
