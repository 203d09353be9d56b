/**
 * A service that shows what its locks do: spans, metrics and logs over OTLP, and a page for Prometheus, `GET /metrics`. Every two
 * seconds one of its replicas does some work, under a lock.
 *
 * Configuration: `PORT` (9464 by default), and what OpenTelemetry names: `OTEL_SERVICE_NAME`, `OTEL_EXPORTER_OTLP_ENDPOINT`, and
 * `OTEL_TRACES_EXPORTER=otlp`, `OTEL_METRICS_EXPORTER=otlp` and `OTEL_LOGS_EXPORTER=otlp`, without which nothing is sent.
 */
import { NodeHttpClient, NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Config, Effect, Layer, Schedule } from "effect"
import { HttpRouter } from "effect/http"
import { Otlp, OtlpSerialization, PrometheusMetrics } from "effect/observability"
import { Lock, ObjectStoreKubernetes, Resource, Shutdown } from "kubelock"
import { createServer } from "node:http"

// A round is expected to take no longer than a second: LockMetrics.overdue counts those that do.
const round = Lock.withLock("rounds", { expectedHold: "1 second" })(Effect.logInfo("working"))

const Rounds = Layer.effectDiscard(
  round.pipe(
    Effect.withSpan("round"),
    Effect.catch((error) => Effect.logError("a round failed", error)),
    Effect.repeat(Schedule.spaced("2 seconds")),
    Effect.forkScoped
  )
)

const Locks = Lock.layer().pipe(Layer.provide(ObjectStoreKubernetes.layerKubeConfig({ resource: Resource.configMap })))

const Server = Layer.unwrap(
  Effect.map(Config.Port("PORT").pipe(Config.withDefault(9464)), (port) =>
    HttpRouter.serve(PrometheusMetrics.layerHttp()).pipe(Layer.provide(NodeHttpServer.layer(createServer, { port })))
  )
)

const Exporters = Otlp.layerFromConfig().pipe(Layer.provide([OtlpSerialization.layerJson, NodeHttpClient.layerUndici]))

Layer.mergeAll(Rounds, Server).pipe(
  Layer.provide(Locks),
  Layer.provide(Exporters),
  Layer.provide(Shutdown.layer),
  Layer.launch,
  NodeRuntime.runMain
)
