/** The spans of requests, held against OpenTelemetry's list of what an HTTP client span has. */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Tracer from "effect/Tracer"
import { readFileSync } from "node:fs"
import { createServer, type RequestListener } from "node:http"
import type { AddressInfo } from "node:net"
import * as Undici from "undici/index.js"
import * as Http from "../../../src/internal/kubernetes/http.ts"
import { templateOf } from "../../../src/internal/kubernetes/requestSpan.ts"
import * as Timers from "../../../src/internal/time/timers.ts"
import * as KubernetesClient from "../../../src/KubernetesClient.ts"
import * as ApiServer from "../../../src/testing/ApiServer.ts"
import { keepSpans } from "../../utils/keepSpans.ts"

interface Attribute {
  readonly level: "required" | "conditionally required" | "recommended" | "opt-in"
  readonly type: "string" | "int"
}

const convention = JSON.parse(
  readFileSync(new URL("../../fixtures/opentelemetry/http-client-span.json", import.meta.url), "utf8")
) as { readonly attributes: Readonly<Record<string, Attribute>> }

/** What every span must be, whatever became of its request. */
const assertConventional = ({ attributes, kind, name }: Tracer.NativeSpan) => {
  assert.strictEqual(kind, "client")
  for (const [attribute, value] of attributes) {
    const known = convention.attributes[attribute]
    assert.isDefined(known, `${attribute} is no attribute of an HTTP client span`)
    assert.isTrue(known!.type === "int" ? Number.isInteger(value) : typeof value === "string", attribute)
  }
  for (const [attribute, { level }] of Object.entries(convention.attributes)) {
    if (level === "required") assert.isTrue(attributes.has(attribute), `${attribute} is missing`)
  }
  const template = attributes.get("url.template")
  const method = String(attributes.get("http.request.method"))
  assert.strictEqual(name, template === undefined ? method : `${method} ${String(template)}`)
}

const path = "/api/v1/namespaces/dex/configmaps/a?fieldManager=kubelock"

/** The span of one request to a server that does this. */
const spanOf = Effect.fnUntraced(function* (serve: RequestListener | "nobody", request: Partial<Http.Request> = {}) {
  const server = createServer(serve === "nobody" ? () => {} : serve)
  yield* Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void)))
  const { port } = server.address() as AddressInfo
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      server.close()
      server.closeAllConnections()
    })
  )
  if (serve === "nobody") yield* Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
  const agent = yield* Effect.acquireRelease(
    Effect.sync(() => new Undici.Agent()),
    (agent) => Effect.promise(() => agent.destroy())
  )
  const address = { origin: `http://127.0.0.1:${port}`, prefix: "/gateway" }
  const { request: send } = Http.make({ requests: agent, watches: agent }, address, yield* Timers.make)
  const { spans, tracer } = keepSpans()
  const exit = yield* send(
    { method: "GET", path, headers: {}, ...request },
    {},
    { timeoutMillis: 500, maxBytes: 1000 }
  ).pipe(Effect.exit, Effect.provideService(Tracer.Tracer, tracer))
  assert.lengthOf(spans, 1)
  const [span] = spans
  assertConventional(span!)
  const { status } = span!
  assert(status._tag === "Ended")
  return {
    exit,
    port,
    name: span!.name,
    attributes: Object.fromEntries(span!.attributes),
    isError: Exit.isFailure(status.exit)
  }
}, Effect.scoped)

const answering =
  (status: number): RequestListener =>
  (_, response) =>
    response.writeHead(status).end()

describe("the span of a request", () => {
  it.live("names the method and the template, the server and the response", () =>
    Effect.gen(function* () {
      const { attributes, isError, name, port } = yield* spanOf(answering(200))
      const template = "/gateway/api/v1/namespaces/{namespace}/configmaps/{name}"
      assert.strictEqual(name, `GET ${template}`)
      assert.deepStrictEqual(attributes, {
        "http.request.method": "GET",
        "server.address": "127.0.0.1",
        "server.port": port,
        "url.full": `http://127.0.0.1:${port}/gateway${path}`,
        "url.template": template,
        "http.response.status_code": 200
      })
      assert.isFalse(isError)
    })
  )

  it.live("is named by its method alone if the path is not one of Kubernetes' resources", () =>
    Effect.gen(function* () {
      const { attributes, name } = yield* spanOf(answering(200), { path: "/token/of/42" })
      assert.strictEqual(name, "GET")
      assert.notProperty(attributes, "url.template")
    })
  )

  it.live.each([404, 409, 422, 429, 500, 503])("is an error of the type %s if that is the status", (code) =>
    Effect.gen(function* () {
      const { attributes, exit, isError } = yield* spanOf(answering(code))
      assert.include(attributes, { "http.response.status_code": code, "error.type": String(code) })
      assert.isTrue(isError)
      // To the caller it is a response like any other.
      assert.isTrue(Exit.isSuccess(exit))
    })
  )

  it.live.each([
    ["ECONNREFUSED", "nobody"],
    ["UND_ERR_SOCKET", (_, response) => response.destroy()],
    ["timeout", () => {}]
  ] as ReadonlyArray<readonly [string, RequestListener | "nobody"]>)(
    "is an error of the type %s if there is no response",
    ([type, serve]) =>
      Effect.gen(function* () {
        const { attributes, isError } = yield* spanOf(serve)
        assert.strictEqual(attributes["error.type"], type)
        assert.notProperty(attributes, "http.response.status_code")
        assert.isTrue(isError)
      })
  )

  it.live("says that the request was sent again, with the credentials that were read anew", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.ApiServer
      const { spans, tracer } = keepSpans()
      const denial = { at: "Request", status: 401, contentType: "application/json", body: "{}" } as const
      yield* server.inject(ApiServer.Fault.Answer(denial), { times: 1 })
      const client = yield* KubernetesClient.KubernetesClient
      yield* client
        .request({ method: "GET", path: "/version", headers: {} }, { timeoutMillis: 5000, maxBytes: 10_000 })
        .pipe(Effect.provideService(Tracer.Tracer, tracer))
      for (const span of spans) assertConventional(span)
      assert.deepStrictEqual(
        spans.map(({ attributes }) => [
          attributes.get("http.response.status_code"),
          attributes.get("http.request.resend_count")
        ]),
        [
          [401, undefined],
          [200, 1]
        ]
      )
    }).pipe(
      Effect.provide(
        Layer.unwrap(
          Effect.map(ApiServer.ApiServer, ({ kubeConfig }) => KubernetesClient.layerKubeConfigYaml(kubeConfig))
        ).pipe(Layer.provideMerge(ApiServer.layer()), Layer.provideMerge(NodeHttpClient.layerNodeHttp))
      ),
      Effect.scoped
    )
  )
})

describe("the template of a path", () => {
  it.each([
    ["/api/v1/namespaces/dex/configmaps/a", "/api/v1/namespaces/{namespace}/configmaps/{name}"],
    ["/api/v1/namespaces/dex/configmaps?watch=1", "/api/v1/namespaces/{namespace}/configmaps"],
    [
      "/apis/dex.coreos.com/v1/namespaces/d/refreshtokens/r?a=/b",
      "/apis/dex.coreos.com/v1/namespaces/{namespace}/refreshtokens/{name}"
    ],
    ["/apis/example.com/v1/widgets/w", "/apis/example.com/v1/widgets/{name}"],
    ["/api/v1/namespaces/dex", "/api/v1/namespaces/{name}"],
    ["/version", undefined],
    ["/api/v1/namespaces/dex/pods/p/log", undefined]
  ] as const)("of %s is %s", (path, template) => {
    assert.strictEqual(templateOf(path), template)
  })
})
