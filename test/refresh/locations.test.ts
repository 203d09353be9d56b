/** Where values are stored, on the embedded API server: what is created, what is left alone, and what it costs. */
import { assert, layer } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as KubernetesClient from "../../src/KubernetesClient.ts"
import * as RefreshOnce from "../../src/RefreshOnce.ts"
import * as Resource from "../../src/Resource.ts"
import * as ApiServer from "../../src/testing/ApiServer.ts"
import { generationOf, Token, token } from "./fixture.ts"

const embedded = Layer.unwrap(
  Effect.map(ApiServer.ApiServer, (server) => KubernetesClient.layerKubeConfigYaml(server.kubeConfig))
).pipe(Layer.provideMerge(ApiServer.layer({ namespaces: ["dex"] })))

/** Values at a location. Their upstream counts generations. No value is fresh while `stale` is set. */
const counting = (location: RefreshOnce.Location) =>
  Effect.gen(function* () {
    const upstream = { generation: 0, stale: false }
    const tokens = yield* RefreshOnce.make({
      location,
      namespace: "dex",
      schema: Token,
      isFresh: ({ expiresAt }) => (upstream.stale ? Effect.succeed(false) : DateTime.isFuture(expiresAt)),
      refresh: () => token(++upstream.generation)
    })
    return { ...tokens, upstream }
  })

const json = (base64: unknown): unknown => JSON.parse(Buffer.from(String(base64), "base64").toString())

layer(embedded, { excludeTestServices: true })("a value", (it) => {
  it.effect("in a missing Secret is stored in a new one", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.ApiServer
      const tokens = yield* counting(RefreshOnce.inSecret("oauth"))
      assert.strictEqual(generationOf(yield* tokens.get("made")), 1)
      const made = Option.getOrThrow(yield* server.get(Resource.secret, "dex", "made"))
      assert.deepInclude(json((made["data"] as Record<string, string>)["oauth"]), { refresh: "s3cr3t-refresh-1" })
      assert.deepStrictEqual(made.metadata.annotations ?? {}, {})
    })
  )

  it.effect("in an existing Secret leaves everything else alone", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.ApiServer
      const tokens = yield* counting(RefreshOnce.inSecret("oauth"))
      yield* server.put(Resource.secret, "dex", {
        metadata: { name: "there", annotations: { "example.com/a": "1" }, labels: { a: "b" } },
        type: "example.com/mine",
        immutable: false,
        data: { other: "dmFsdWU=" }
      })
      yield* tokens.get("there")
      tokens.upstream.stale = true
      yield* tokens.get("there")
      const object = Option.getOrThrow(yield* server.get(Resource.secret, "dex", "there"))
      const { oauth, ...data } = object["data"] as Record<string, string>
      assert.deepInclude(json(oauth), { refresh: "s3cr3t-refresh-2" })
      assert.deepStrictEqual(data, { other: "dmFsdWU=" })
      assert.deepInclude(object, { type: "example.com/mine", immutable: false })
      assert.deepInclude(object.metadata, { annotations: { "example.com/a": "1" }, labels: { a: "b" } })
    })
  )

  it.effect("in Dex's RefreshToken is the connector data, and a missing RefreshToken is not created", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.ApiServer
      const tokens = yield* counting(RefreshOnce.inRefreshToken)
      const missing = yield* Effect.flip(tokens.get("missing"))
      assert.strictEqual(missing._tag, "LockNotFound")
      const claims = { userID: "1", email: "a@example.com" }
      yield* server.put(Resource.refreshToken, "dex", {
        metadata: { name: "of-dex" },
        token: "t",
        claims,
        connectorData: ""
      })
      yield* tokens.get("of-dex")
      const object = Option.getOrThrow(yield* server.get(Resource.refreshToken, "dex", "of-dex"))
      assert.deepInclude(object, { token: "t", claims })
      assert.deepInclude(json(object["connectorData"]), { refresh: "s3cr3t-refresh-1" })
    })
  )

  it.effect("costs two writes when it is rotated, and no request while it is fresh", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.ApiServer
      const tokens = yield* counting(RefreshOnce.inSecret("oauth"))
      yield* tokens.get("counted")
      yield* server.clearRequests
      yield* tokens.get("counted")
      assert.deepStrictEqual(yield* server.requests, [])
      tokens.upstream.stale = true
      yield* tokens.get("counted")
      assert.deepStrictEqual(
        (yield* server.requests).map(({ verb }) => verb),
        ["patch", "patch"]
      )
    })
  )
})
