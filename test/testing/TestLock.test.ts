import { assert, it, layer } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Lock from "../../src/Lock.ts"
import * as ObjectStoreKubernetes from "../../src/ObjectStoreKubernetes.ts"
import * as Resource from "../../src/Resource.ts"
import * as ApiServer from "../../src/testing/ApiServer.ts"
import * as TestLock from "../../src/testing/TestLock.ts"

layer(TestLock.layer({ identity: "test", namespace: "here" }), { excludeTestServices: true })(
  "a lock for tests",
  (it) => {
    it.effect("writes to the server that the test looks at", () =>
      Effect.gen(function* () {
        const server = yield* ApiServer.ApiServer
        const held = yield* Lock.scoped("a")
        assert.match(held.holderId, /^test\//)
        assert.isTrue(Option.isSome(yield* server.get(Resource.configMap, "here", "a")))
      }).pipe(Effect.scoped)
    )

    it.effect("meets the faults that the test injects", () =>
      Effect.gen(function* () {
        const server = yield* ApiServer.ApiServer
        const affected = yield* server.inject(ApiServer.tooManyRequests(0), { times: 2 })
        yield* Lock.withLock("b")(Effect.void)
        assert.strictEqual(yield* affected, 2)
      }).pipe(Effect.scoped)
    )
  }
)

/** Configuration from these variables. */
const env = (env: Record<string, string>) => ConfigProvider.layer(ConfigProvider.fromEnv({ env }))

it.live("resource, namespace and identity come from configuration", () =>
  Effect.gen(function* () {
    const server = yield* ApiServer.ApiServer
    const configured = Lock.layerConfig({ identity: "ignored" }).pipe(
      Layer.provide(ObjectStoreKubernetes.layerConfig({ namespace: "ignored" })),
      Layer.provide(
        env({
          KUBELOCK_RESOURCE: "widgets.v1.example.com/Widget",
          KUBELOCK_NAMESPACE: "there",
          KUBELOCK_CREATE_IF_MISSING: "true",
          KUBELOCK_REQUEST_TIMEOUT: "2s",
          KUBELOCK_IDENTITY: "worker"
        })
      )
    )
    const held = yield* Effect.provide(Lock.scoped("a"), configured)
    assert.match(held.holderId, /^worker\//)
    const widget = Resource.make({ group: "example.com", version: "v1", plural: "widgets", kind: "Widget" })
    assert.isTrue(Option.isSome(yield* server.get(widget, "there", "a")))
  }).pipe(Effect.scoped, Effect.provide(TestLock.layer({ server: { namespaces: ["there"] } })))
)

it.live("a resource that configuration does not know how to name is an error with an example", () =>
  Effect.gen(function* () {
    const store = ObjectStoreKubernetes.layerConfig().pipe(Layer.provide(env({ KUBELOCK_RESOURCE: "widgets" })))
    const error = yield* Effect.flip(Effect.provide(Effect.void, store))
    assert.include(error.message, "KUBELOCK_RESOURCE must be configmaps")
    assert.include(error.message, "widgets.v1.example.com/Widget")
  }).pipe(Effect.provide(TestLock.layer()))
)
