/** The value is in the object and nowhere else: not in logs, spans, metrics, errors or annotations. */
import { assert, layer } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as References from "effect/References"
import { inspect } from "node:util"
import * as KubernetesClient from "../../src/KubernetesClient.ts"
import * as RefreshOnce from "../../src/RefreshOnce.ts"
import * as Resource from "../../src/Resource.ts"
import * as ApiServer from "../../src/testing/ApiServer.ts"
import { Refused, Token, token } from "./fixture.ts"
import { keepSpans } from "../utils/keepSpans.ts"

const embedded = Layer.unwrap(
  Effect.map(ApiServer.ApiServer, (server) => KubernetesClient.layerKubeConfigYaml(server.kubeConfig))
).pipe(Layer.provideMerge(ApiServer.layer()))

const secret = /s3cr3t|czNjcjN0|MzY3IzdC|zM2NyM3/

layer(embedded, { excludeTestServices: true })("the value", (it) => {
  it.effect("is nowhere but in the object, also when something goes wrong", () =>
    Effect.gen(function* () {
      const heard: Array<unknown> = []
      const hear = (thing: unknown) => heard.push(typeof thing === "string" ? thing : inspect(thing, { depth: 12 }))
      const log = Logger.make((options) => {
        hear(options.message)
        hear(Cause.pretty(options.cause))
        hear(options.fiber.getRef(References.CurrentLogAnnotations))
      })
      const { spans, tracer } = keepSpans()
      const server = yield* ApiServer.ApiServer
      const metrics = new Map()

      yield* Effect.gen(function* () {
        let generation = 0
        let refused = false
        let lifetime = 0
        const tokens = yield* RefreshOnce.make({
          schema: Token,
          namespace: "default",
          requestTimeout: "200 millis",
          isFresh: ({ expiresAt }) => DateTime.isFuture(DateTime.add(expiresAt, { minutes: lifetime })),
          refresh: () => (refused ? new Refused({ why: "unavailable" }) : token(++generation))
        })
        const first = yield* tokens.get("s")
        hear(first)
        lifetime = -1
        yield* tokens.get("s")
        lifetime = 0
        yield* tokens.invalidate("s", yield* tokens.get("s"))
        refused = true
        lifetime = -1
        hear(yield* Effect.flip(tokens.get("s")))
        refused = false
        // The server, or a webhook, refuses a write and quotes it.
        const quotes = [
          [422, "Invalid", `Secret "s" is invalid: data: Invalid value: "s3cr3t-refresh-9"`],
          [403, "Forbidden", `secrets "s" is forbidden: s3cr3t-refresh-9`],
          [403, "s3cr3t-refresh-9", `admission webhook "a.example.com" denied the request: s3cr3t-refresh-9`],
          [400, "s3cr3t-refresh-9", `admission webhook "a.example.com" denied the request: s3cr3t-refresh-9`]
        ] as const
        for (const [status, reason, message] of quotes) {
          yield* server.inject(
            ApiServer.Fault.Answer({
              at: "Request",
              status,
              body: JSON.stringify({ kind: "Status", reason, message }),
              headers: {}
            }),
            { when: ({ verb }) => verb === "patch", times: 1 }
          )
          hear(yield* Effect.flip(tokens.get("s")))
        }
        const stored = Option.getOrThrow(yield* server.get(Resource.secret, "default", "s"))
        assert.match(inspect(stored["data"]), secret)
        hear(stored.metadata)
        // The stored value does not match the schema.
        yield* server.put(Resource.secret, "default", {
          metadata: { name: "s" },
          data: { value: Buffer.from(`{"access":"s3cr3t-access-1","refresh":17}`).toString("base64") }
        })
        hear(yield* Effect.flip(tokens.get("s")))
        hear((yield* Metric.snapshot).map(({ attributes, id }) => ({ id, attributes })))
      }).pipe(
        Effect.scoped,
        Effect.provide(Logger.layer([log])),
        Effect.provideService(References.MinimumLogLevel, "Trace"),
        Effect.withTracer(tracer),
        Effect.provideService(Metric.MetricRegistry, metrics)
      )
      // What an exporter sends. It never sends the result of a span that succeeded.
      for (const { attributes, events, name, status } of spans) {
        hear([name, [...attributes], events])
        if (status._tag === "Ended" && Exit.isFailure(status.exit)) hear(status.exit.cause)
      }

      assert.isAbove(spans.length, 20)
      assert.isTrue(spans.some(({ name }) => name === "kubelock.refresh.upstream"))
      assert.isTrue(heard.some((text) => String(text).includes("Rejected")))
      assert.deepStrictEqual(
        heard.filter((text) => secret.test(String(text))),
        []
      )
    }).pipe(Effect.scoped)
  )
})
