/**
 * A service that reads meters. Run as many replicas as you like: each meter is read by one of them at a time, and if a replica dies,
 * the others go on with its meters. Nothing is needed but the API server: no database.
 *
 * A meter is an entity of an Effect cluster. A singleton, which runs in one of the replicas, sees to it that all meters are read. What is
 * read goes to a collector.
 *
 * Configuration: `HOST` and `PORT` (the address at which the other replicas reach this one: that of the pod), `COLLECTOR` (the URL to
 * post to), `METERS` (how many there are). `SHARD_LOCK_EXPIRATION` and all other settings of Effect's `ShardingConfig` have defaults.
 */
import { NodeClusterHttp, NodeHttpClient, NodeRuntime } from "@effect/platform-node"
import { Config, Effect, Layer, Schedule, Schema } from "effect"
import { Entity, HttpRunner, MessageStorage, ShardingConfig, Singleton } from "effect/cluster"
import { HttpClient, HttpClientRequest } from "effect/http"
import { Rpc, RpcSerialization } from "effect/rpc"
import { KubernetesClient } from "kubelock"
import * as KubernetesRunnerStorage from "kubelock/KubernetesRunnerStorage"

const settings = Config.all({
  collector: Config.String("COLLECTOR"),
  meters: Config.Int("METERS").pipe(Config.withDefault(20))
})

const every = Schedule.spaced("200 millis")

const Meter = Entity.make("Meter", [Rpc.make("Read", { success: Schema.Void })])

/** Reads the meter for as long as this replica has it. */
const MeterLive = Meter.toLayer(
  Effect.gen(function* () {
    const { collector } = yield* settings
    const client = yield* HttpClient.HttpClient
    const shards = yield* KubernetesRunnerStorage.HeldShards
    const { entityId, shardId } = yield* Entity.CurrentAddress
    const runner = yield* Entity.CurrentRunnerAddress
    const reader = crypto.randomUUID()

    const read = Effect.gen(function* () {
      // The time comes first. So it is in the time of this replica, even if the process is suspended after the next line.
      const at = process.hrtime.bigint().toString()
      if (!(yield* shards.has(runner, shardId))) return
      const reading = { meter: entityId, runner: `${runner.host}:${runner.port}`, reader, at }
      yield* client.execute(HttpClientRequest.bodyJsonUnsafe(HttpClientRequest.post(collector), reading))
    })
    yield* Effect.forkScoped(Effect.repeat(Effect.ignore(read), every))
    return Meter.of({ Read: () => Effect.void })
  }).pipe(Effect.orDie)
)

/** A message to a meter starts it, wherever it has to run. */
const AllMetersLive = Singleton.make(
  "all-meters",
  Effect.gen(function* () {
    const { meters } = yield* settings
    const meter = yield* Meter.client
    const ids = Array.from({ length: meters }, (_, index) => `meter-${index}`)
    const start = (id: string) => Effect.ignore(Effect.timeout(meter(id).Read(), "2 seconds"))
    yield* Effect.forever(
      Effect.andThen(
        Effect.forEach(ids, start, { concurrency: "unbounded", discard: true }),
        Effect.sleep("500 millis")
      )
    )
  }).pipe(Effect.orDie)
)

/** `NodeClusterHttp.layer`, with the health of runners by their sessions. */
const ClusterLive = HttpRunner.layerHttp.pipe(
  Layer.provide([NodeClusterHttp.layerHttpServer, NodeHttpClient.layerUndici]),
  Layer.provide(MessageStorage.layerNoop),
  Layer.provideMerge(KubernetesRunnerStorage.layer({ name: "meters" })),
  Layer.provide([ShardingConfig.layerFromEnv(), RpcSerialization.layerSchemaBinary()]),
  Layer.provide(KubernetesClient.layerKubeConfig())
)

Layer.mergeAll(MeterLive, AllMetersLive).pipe(
  Layer.provide([ClusterLive, NodeHttpClient.layerUndici]),
  Layer.launch,
  NodeRuntime.runMain
)
