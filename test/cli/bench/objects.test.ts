import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as KubernetesClient from "../../../src/KubernetesClient.ts"
import * as Resource from "../../../src/Resource.ts"
import * as ApiServer from "../../../src/testing/ApiServer.ts"
import * as Api from "../../../src/cli/bench/harness/api.ts"
import * as Objects from "../../../src/cli/bench/harness/objects.ts"

const client = Layer.unwrap(
  Effect.map(ApiServer.ApiServer, ({ kubeConfig }) => KubernetesClient.layerKubeConfigYaml(kubeConfig))
)

const server = ApiServer.layer({ resources: [Resource.refreshToken] })

const makePlace = Effect.map(Api.make, (api): Objects.Place => ({
  api,
  resource: Resource.refreshToken,
  namespace: "dex"
}))

const namesOf = (server: ApiServer.ApiServer["Service"]) =>
  Effect.map(server.list(Resource.refreshToken, "dex"), (objects) => objects.map(({ metadata }) => metadata.name))

layer(Layer.provideMerge(client, server), { excludeTestServices: true })("objects", (it) => {
  it.effect("are there while the scope is open, and nothing else is touched", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.ApiServer
      const place = yield* makePlace
      yield* server.put(Resource.refreshToken, "dex", { metadata: { name: `${Objects.prefix}foreign` } })
      yield* Effect.scoped(
        Effect.gen(function* () {
          const names = yield* Objects.make(place, 20)
          assert.strictEqual(new Set(names).size, 20)
          assert.sameMembers(yield* namesOf(server), [...names, `${Objects.prefix}foreign`])
        })
      )
      assert.deepStrictEqual(yield* namesOf(server), [`${Objects.prefix}foreign`])
      yield* server.remove(Resource.refreshToken, "dex", `${Objects.prefix}foreign`)
    })
  )

  it.effect("are left alone if another object has the name meanwhile", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.ApiServer
      const place = yield* makePlace
      const name = yield* Effect.scoped(
        Effect.gen(function* () {
          const [name] = yield* Objects.make(place, 1)
          yield* server.remove(Resource.refreshToken, "dex", name!)
          yield* server.put(Resource.refreshToken, "dex", { metadata: { name: name! } })
          return name!
        })
      )
      assert.deepStrictEqual(yield* namesOf(server), [name])
      yield* server.remove(Resource.refreshToken, "dex", name)
    })
  )

  it.effect("are deleted if making one of them failed or got no answer", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.ApiServer
      const place = yield* makePlace
      for (const at of ["Request", "Answer"] as const) {
        let posts = 0
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* server.inject(ApiServer.Fault.Drop({ at }), {
              when: ({ verb }) => verb === "post" && ++posts === 3,
              times: 1
            })
            yield* Effect.flip(Objects.make(place, 5))
          })
        )
        assert.deepStrictEqual(yield* namesOf(server), [])
      }
    })
  )

  it.effect("are checked for before they are made", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.ApiServer
      const place = yield* makePlace
      yield* Objects.preflight(place)
      yield* server.setToken("right")
      const error = yield* Effect.ensuring(Effect.flip(Objects.preflight(place)), server.setToken(undefined))
      assert.oneOf(error._tag, ["LockUnauthorized", "LockForbidden"])
    })
  )
})
