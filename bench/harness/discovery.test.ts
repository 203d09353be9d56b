import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Api from "../../src/cli/bench/harness/api.ts"
import * as KubernetesClient from "../../src/KubernetesClient.ts"
import * as Resource from "../../src/Resource.ts"
import * as ApiServer from "../../src/testing/ApiServer.ts"
import * as discovery from "./discovery.ts"

const client = Layer.unwrap(
  Effect.map(ApiServer.ApiServer, ({ kubeConfig }) => KubernetesClient.layerKubeConfigYaml(kubeConfig))
)

const widget = Resource.make({
  group: "example.com",
  version: "v1beta1",
  plural: "widgets",
  kind: "Widget",
  namespaced: false
})

layer(Layer.provideMerge(client, ApiServer.layer({ resources: [widget] })))("a resource", (it) => {
  it.effect("finds any that the server serves, and says what it does not", () =>
    Effect.gen(function* () {
      const api = yield* Api.make
      assert.deepStrictEqual(yield* discovery.find(api, "widgets.v1beta1.example.com"), widget)
      assert.strictEqual(yield* discovery.find(api, "configmaps"), Resource.configMap)
      for (const [wanted, message] of [
        ["gadgets.v1beta1.example.com", /has no gadgets, but widgets/],
        ["widgets.v1.nowhere.com", /does not serve/],
        ["widgets", /neither refreshtokens/]
      ] as const) {
        assert.match((yield* Effect.flip(discovery.find(api, wanted))).message, message)
      }
    })
  )
})
