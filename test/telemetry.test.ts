/** What operators see: every span, metric and log line is caused once and read where an operator reads it. */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Otlp from "effect/observability/Otlp"
import * as OtlpSerialization from "effect/observability/OtlpSerialization"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import * as Tracer from "effect/Tracer"
import { createServer } from "node:http"
import * as KubernetesClient from "../src/KubernetesClient.ts"
import * as Lock from "../src/Lock.ts"
import * as LockMetrics from "../src/LockMetrics.ts"
import * as LockPolicy from "../src/LockPolicy.ts"
import { ObjectStore } from "../src/ObjectStore.ts"
import * as ObjectStoreKubernetes from "../src/ObjectStoreKubernetes.ts"
import * as Resource from "../src/Resource.ts"
import * as ApiServer from "../src/testing/ApiServer.ts"
import { keepSpans } from "./utils/keepSpans.ts"
import { logged } from "./utils/logged.ts"

const secret = "s3cr3t"
const key = LockPolicy.neutralAnnotation
const longAgo = "2001-01-01T00:00:00Z"

const client = Layer.unwrap(
  Effect.map(ApiServer.ApiServer, (server) => KubernetesClient.layerKubeConfigYaml(server.kubeConfig))
)
const lock = (options?: Lock.Options) =>
  Lock.layer({ identity: "us", ...options }).pipe(
    Layer.provideMerge(ObjectStoreKubernetes.layer({ resource: Resource.refreshToken, namespace: "dex" })),
    Layer.provideMerge(client),
    Layer.provideMerge(ApiServer.layer({ namespaces: ["dex"], token: secret }))
  )

/** A final refusal. */
const denial = ApiServer.Fault.Answer({
  at: "Request",
  status: 403,
  contentType: "application/json",
  body: JSON.stringify({
    kind: "Status",
    message: 'admission webhook "w.example.com" denied the request: no',
    code: 403
  })
})

/** Causes everything that is counted, traced or logged. */
const everything = Effect.gen(function* () {
  const server = yield* ApiServer.ApiServer
  const seed = (name: string, annotations: Record<string, string> = {}) =>
    server.put(Resource.refreshToken, "dex", { metadata: { name, annotations }, token: secret })
  yield* seed("quiet")
  yield* seed("expired", { [key]: longAgo })
  yield* seed("wiped")
  yield* seed("stuck")

  // Acquired, renewed, waited for until the time-out, released.
  yield* Effect.gen(function* () {
    yield* Lock.scoped("quiet", { renewEvery: "200 millis" })
    yield* Effect.scoped(Lock.scoped("quiet", { waitSchedule: LockPolicy.fixedPolls("50 millis", 60) })).pipe(
      Effect.flip,
      Effect.provide(Lock.layer({ identity: "them" }), { local: true })
    )
  }).pipe(Effect.scoped)
  // Taken over from an expired holder.
  yield* Effect.scoped(Lock.scoped("expired"))
  // Lost.
  yield* Effect.gen(function* () {
    const held = yield* Lock.scoped("wiped", { renewEvery: "200 millis" })
    yield* seed("wiped")
    yield* Effect.flip(held.lost)
  }).pipe(Effect.scoped)
  // Not released.
  const scope = yield* Effect.scope
  yield* Effect.scoped(Effect.andThen(Lock.scoped("stuck"), Scope.provide(server.inject(denial, { times: 1 }), scope)))
}).pipe(Effect.scoped)

/** A collector that keeps the bodies of its requests. */
const collector = Effect.gen(function* () {
  const bodies: Array<string> = []
  const routes = HttpRouter.add(
    "POST",
    "/*",
    Effect.gen(function* () {
      const request = yield* HttpServerRequest.HttpServerRequest
      bodies.push(yield* request.text)
      return HttpServerResponse.jsonUnsafe({})
    })
  )
  const context = yield* Layer.build(
    HttpRouter.serve(routes, { disableListenLog: true, disableLogger: true }).pipe(
      Layer.provideMerge(
        NodeHttpServer.layerServer(createServer, { port: 0, host: "127.0.0.1", gracefulShutdownTimeout: 0 })
      )
    )
  )
  const server = yield* Effect.provide(HttpServer.HttpServer, context)
  return { bodies, url: HttpServer.formatAddress(server.address) }
})

interface OtlpSpan {
  readonly name: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly kind: number
  readonly attributes: ReadonlyArray<{ readonly key: string; readonly value: Record<string, unknown> }>
  readonly status: { readonly code: number; readonly message?: string }
}

/** `SPAN_KIND_CLIENT` and `STATUS_CODE_ERROR` of OTLP. */
const clientKind = 3
const errorStatus = 2

interface OtlpTraces {
  readonly resourceSpans?: ReadonlyArray<{
    readonly scopeSpans: ReadonlyArray<{ readonly spans: ReadonlyArray<OtlpSpan> }>
  }>
}

const attribute = (span: OtlpSpan, key: string) => {
  const found = span.attributes.find((attribute) => attribute.key === key)
  return found === undefined ? undefined : Object.values(found.value)[0]
}

describe("telemetry", () => {
  it.live("an OTLP collector gets the spans of a lock, with the requests as their children", () =>
    Effect.gen(function* () {
      const { bodies, url } = yield* collector
      yield* everything.pipe(
        Effect.provide(lock()),
        Effect.provide(
          Otlp.layer({ baseUrl: url, resource: { serviceName: "test" }, tracerExportInterval: "50 millis" }).pipe(
            Layer.provide(OtlpSerialization.layerJson),
            Layer.provide(NodeHttpClient.layerNodeHttp)
          )
        ),
        Effect.scoped
      )
      const spans = bodies
        .flatMap((body) => (JSON.parse(body) as OtlpTraces).resourceSpans ?? [])
        .flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans))
      const named = (name: string) => spans.filter((span) => span.name === name)
      const byId = new Map(spans.map((span) => [span.spanId, span]))
      const parentOf = (span: OtlpSpan) => byId.get(span.parentSpanId ?? "")?.name

      const acquire = named("kubelock.acquire")
      assert.sameDeepMembers(
        acquire.map((span) => [attribute(span, "kubelock.id"), attribute(span, "kubelock.outcome")]),
        [
          ["quiet", "Acquired"],
          ["quiet", "LockTimeout"],
          ["expired", "Acquired"],
          ["wiped", "Acquired"],
          ["stuck", "Acquired"]
        ]
      )
      const timedOut = acquire.find((span) => attribute(span, "kubelock.outcome") === "LockTimeout")!
      assert.isAtLeast(Number(attribute(timedOut, "kubelock.attempts")), 1)
      assert.isAtLeast(Number(attribute(timedOut, "kubelock.waited_ms")), 500)
      const waitedFor = String(attribute(timedOut, "kubelock.waited_for"))
      assert.include(
        named("kubelock.hold").map((span) => attribute(span, "kubelock.holder")),
        waitedFor
      )
      assert.deepStrictEqual(named("kubelock.wait").map(parentOf), ["kubelock.acquire"])

      const holds = named("kubelock.hold")
      assert.lengthOf(holds, 4)
      for (const span of holds) {
        assert.match(String(attribute(span, "kubelock.holder")), /^us\//)
        assert.match(String(attribute(span, "kubelock.fencing_token")), /^\d+$/)
      }
      assert.deepStrictEqual(
        [...new Set([...named("kubelock.renew"), ...named("kubelock.release")].map(parentOf))],
        ["kubelock.hold"]
      )
      assert.isNotEmpty(named("kubelock.renew"))
      // A lost lock is not released.
      assert.lengthOf(named("kubelock.release"), 3)

      const requests = spans.filter((span) => span.kind === clientKind)
      assert.isNotEmpty(requests)
      for (const span of requests) {
        const code = Number(attribute(span, "http.response.status_code"))
        assert.strictEqual(span.status.code === errorStatus, code >= 400)
        // The convention wants no description of what the code says.
        assert.strictEqual(span.status.message ?? "", "")
        assert.match(span.name, /^(GET|PATCH) \/apis\/dex.coreos.com\/v1\/namespaces\/\{namespace\}\/refreshtokens/)
        assert.include(["kubelock.acquire", "kubelock.wait", "kubelock.renew", "kubelock.release"], parentOf(span))
      }
      const watches = requests.filter((span) => String(attribute(span, "url.full")).includes("watch=1"))
      assert.deepStrictEqual([...new Set(watches.map(parentOf))], ["kubelock.wait"])
      assert.notInclude(bodies.join(), secret)
    }).pipe(Effect.scoped)
  )

  it.effect("an acquisition that was handed the lock within the process has a link to the hold before it", () =>
    Effect.gen(function* () {
      const { spans, tracer } = keepSpans()
      const hold = Lock.withLock("quiet")(Effect.sleep("10 millis"))
      const both = yield* Effect.all([hold, hold], { concurrency: 2 }).pipe(
        Effect.provide(Lock.layerMemory()),
        Effect.provideService(Tracer.Tracer, tracer),
        Effect.forkChild
      )
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(both)
      const named = (name: string) => spans.filter((span) => span.name === name)
      assert.deepStrictEqual(
        named("kubelock.acquire").map(({ links }) => links.map(({ span }) => span.spanId)),
        [[], [named("kubelock.hold")[0]!.spanId]]
      )
    })
  )

  it.effect("a hold that lasts for longer than announced is one line of log, and counts until it ends", () =>
    Effect.gen(function* () {
      const overdue = Effect.map(
        Metric.value(Metric.withAttributes(LockMetrics.overdue, { kind: "lock" })),
        ({ value }) => value
      )
      const counts: Array<number> = []
      const count = Effect.flatMap(overdue, (value) => Effect.sync(() => counts.push(value)))
      const lines = yield* Effect.gen(function* () {
        const held = yield* Effect.forkChild(
          Lock.withLock("quiet", { expectedHold: "2 seconds" })(Effect.sleep("1 minute")),
          { startImmediately: true }
        )
        for (const moment of ["1900 millis", "200 millis", "1 minute"] as const) {
          yield* TestClock.adjust(moment)
          yield* count
        }
        yield* Fiber.join(held)
      }).pipe(Effect.provide(Lock.layerMemory()), logged)
      assert.deepStrictEqual(counts, [0, 1, 0])
      assert.deepStrictEqual(lines, ['Warn Holds lock "quiet" (quiet in memory) for longer than the expected 2s.'])
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
  )

  it.live("a Prometheus page counts everything, without ids", () =>
    Effect.gen(function* () {
      const page = yield* Effect.gen(function* () {
        yield* Effect.provide(everything, lock())
        const context = yield* Layer.build(
          HttpRouter.serve(PrometheusMetrics.layerHttp(), { disableListenLog: true, disableLogger: true }).pipe(
            Layer.provideMerge(NodeHttpServer.layerTest)
          )
        )
        return yield* HttpClient.get("/metrics").pipe(
          Effect.flatMap((response) => response.text),
          Effect.provide(context)
        )
      }).pipe(Effect.scoped, Effect.provideService(Metric.MetricRegistry, new Map()))

      const valueOf = (series: string) => {
        const line = page.split("\n").find((line) => line.startsWith(`${series} `))
        return line === undefined ? undefined : Number(line.split(" ").at(-1))
      }
      assert.deepStrictEqual(
        {
          acquisitions: valueOf('kubelock_acquisitions_total{kind="lock"}'),
          timeouts: valueOf('kubelock_timeouts_total{kind="lock"}'),
          losses: valueOf('kubelock_losses_total{kind="lock",reason="Removed"}'),
          breaks: valueOf('kubelock_takeovers_total{kind="lock"}'),
          held: valueOf('kubelock_held{kind="lock"}'),
          waiting: valueOf('kubelock_waiting{kind="lock"}'),
          waits: valueOf('kubelock_wait_seconds_count{kind="lock"}'),
          holds: valueOf('kubelock_hold_seconds_count{kind="lock"}')
        },
        { acquisitions: 4, timeouts: 1, losses: 1, breaks: 1, held: 0, waiting: 0, waits: 4, holds: 4 }
      )
      assert.isAtLeast(valueOf('kubelock_conflicts_total{kind="lock"}')!, 1)
      assert.isAtLeast(valueOf('kubelock_renewals_total{kind="lock"}')!, 1)
      assert.isAtLeast(valueOf('kubelock_request_seconds_count{verb="get",status="200"}')!, 4)
      assert.isAtLeast(valueOf('kubelock_request_seconds_count{verb="patch",status="403"}')!, 1)
      assert.notInclude(page, "quiet")
    })
  )

  it.live("metrics have ids if `idInMetrics` is set", () =>
    Effect.gen(function* () {
      const page = yield* Lock.withLock("quiet")(PrometheusMetrics.format()).pipe(
        Effect.provide(Lock.layerMemory({ idInMetrics: true })),
        Effect.provideService(Metric.MetricRegistry, new Map())
      )
      assert.include(page, 'kubelock_held{kind="lock",id="quiet"} 1')
    })
  )

  it.live("the log has one line for each thing that an operator must know, and no secret", () =>
    Effect.gen(function* () {
      const lines = yield* Effect.gen(function* () {
        const server = yield* ApiServer.ApiServer
        yield* everything
        yield* server.setClockOffset("1 hour")
        const store = yield* ObjectStore
        yield* store.read("quiet")
        yield* store.read("quiet")
      }).pipe(Effect.provide(lock()), logged, Effect.scoped)
      const expected = [
        `Info Took over lock "expired" (refreshtokens.dex.coreos.com/expired in namespace dex). Its holder was unnamed, probably Dex, until ${longAgo}.`,
        /^Warn Lost lock "wiped" .* after .*: another client removed its annotation\.$/,
        /^Warn Could not release lock "stuck" .* It expires at \d{4}-.*Z\. Not allowed to patch .*$/,
        /^Warn The clock of this machine differs from the API server's by at least .*\.$/
      ]
      assert.lengthOf(lines, expected.length, lines.join("\n"))
      for (const [index, line] of lines.entries()) {
        const wanted = expected[index]!
        if (typeof wanted === "string") assert.strictEqual(line, wanted)
        else assert.match(line, wanted)
      }
      assert.notInclude(lines.join(), secret)
    })
  )
})
