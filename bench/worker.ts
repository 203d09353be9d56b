/** A contending thread: its own connections to the API server, and several contenders. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeWorkerRunner from "@effect/platform-node/NodeWorkerRunner"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import type * as Scope from "effect/Scope"
import * as RpcServer from "effect/rpc/RpcServer"
import { workerData } from "node:worker_threads"
import type { KubeConfigError, KubernetesClient } from "../src/KubernetesClient.ts"
import * as Lock from "../src/Lock.ts"
import * as LockPolicy from "../src/LockPolicy.ts"
import type * as LockError from "../src/LockError.ts"
import * as ObjectStoreKubernetes from "../src/ObjectStoreKubernetes.ts"
import * as Connection from "./connection.ts"
import { contend, type Take } from "./contender.ts"
import { Contest, type Protocol, type Records, type Round, RoundFailed, type Shared } from "./contest.ts"
import * as Control from "./control.ts"
import * as countingClient from "./countingClient.ts"
import * as Dex from "../src/testing/dex/Dex.ts"
import * as DexClient from "../src/testing/dex/DexClient.ts"

const shared: Shared = workerData

// The objects are the contest's own, and no Dex takes part while kubelock contends.
const policy = LockPolicy.make({ sharedWithDex: false })

/** How each protocol takes a lock. */
const takes: Readonly<
  Record<Protocol, (round: Round) => Effect.Effect<Take, LockError.InvalidName, KubernetesClient | Scope.Scope>>
> = {
  kubelock: Effect.fnUntraced(function* (round) {
    const store = ObjectStoreKubernetes.layer({ ...round, createIfMissing: false })
    const lock = yield* Layer.build(Layer.provide(Lock.layer({ identity: `load-${round.thread}`, policy }), store))
    return (id) =>
      Lock.scoped(id).pipe(
        Effect.provideContext(lock),
        Effect.mapError((error) => ({ timedOut: error._tag === "LockTimeout", message: error.message })),
        Effect.asVoid
      )
  }),
  dex: Effect.fnUntraced(function* (round) {
    const client = yield* DexClient.make(round)
    return (id) =>
      Effect.mapError(Dex.scoped(client, id), (error) => ({
        timedOut: error._tag === "DexTimeout",
        message: error.message
      }))
  })
}

// Not counted, and not a part of the round.
const connect = (round: Round) => Effect.flatMap(DexClient.make(round), (client) => client.get(round.ids[0]!))

const play = Effect.fnUntraced(function* (round: Round, records: Records) {
  let firstError: string | undefined
  yield* connect(round)
  const take = yield* Effect.provide(takes[round.protocol](round), countingClient.layer(records.tally))
  yield* Control.arrive(shared.control, round.number, round.threads)
  const contenders = yield* Effect.forEach(Array.from({ length: round.fibers }), (_, fiber) =>
    Effect.forkChild(
      contend({
        ...round,
        number: round.thread * round.fibers + fiber,
        seed: `${round.seed}/${round.number}/${round.thread}/${fiber}`,
        records,
        take,
        onError: (message) => {
          firstError ??= message
        }
      })
    )
  )
  yield* Control.untilOver(shared.control, round.duration)
  const millis = Control.millisOpen(shared.control, round.number) ?? 0
  yield* Fiber.interruptAll(contenders)
  return { millis, firstError }
})

const failed = (error: LockError.InvalidName | Dex.DexError | KubeConfigError): RoundFailed =>
  new RoundFailed({ detail: error.message })

const Handlers = Contest.toLayer({
  Contend: (round) =>
    Effect.scoped(play(round, shared.records[round.protocol])).pipe(
      Effect.provide(Connection.layer(round.connection), { local: true }),
      Effect.mapError(failed)
    )
})

RpcServer.layer(Contest, { disableTracing: true, disableFatalDefects: true }).pipe(
  Layer.provide(Handlers),
  Layer.provide(RpcServer.layerProtocolWorkerRunner),
  Layer.provide(NodeWorkerRunner.layer),
  Layer.provide(Layer.succeed(Logger.LogToStderr, true)),
  Layer.launch,
  NodeRuntime.runMain
)
