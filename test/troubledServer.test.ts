/** An API server that is full, starting, or behind something that answers in its place: a wait goes on, and a failure says why. */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as KubernetesClient from "../src/KubernetesClient.ts"
import * as Lock from "../src/Lock.ts"
import * as LockPolicy from "../src/LockPolicy.ts"
import * as ObjectStoreKubernetes from "../src/ObjectStoreKubernetes.ts"
import * as Resource from "../src/Resource.ts"
import * as ApiServer from "../src/testing/ApiServer.ts"
import { freshId } from "./utils/World.ts"

const { Fault } = ApiServer

const lock = Lock.layer({ policy: LockPolicy.make({ waitSchedule: LockPolicy.fixedPolls("50 millis", 60) }) }).pipe(
  Layer.provide(ObjectStoreKubernetes.layer({ resource: Resource.configMap, namespace: "default" })),
  Layer.provide(
    Layer.unwrap(Effect.map(ApiServer.ApiServer, ({ kubeConfig }) => KubernetesClient.layerKubeConfigYaml(kubeConfig)))
  ),
  Layer.provideMerge(ApiServer.layer())
)

const outOfSpace = Fault.Answer({
  at: "Request",
  status: 500,
  contentType: "application/json",
  body: JSON.stringify({ kind: "Status", message: "etcdserver: mvcc: database space exceeded", code: 500 })
})

const page = (status: number) =>
  Fault.Answer({ at: "Request", status, body: "<html>Not here</html>", contentType: "text/html" })

const unknownPath = Fault.Answer({ at: "Request", status: 404, body: "404 page not found\n" })

const isWrite = ({ method }: ApiServer.SeenRequest) => method !== "GET"

layer(lock, { excludeTestServices: true })("a server in trouble", (it) => {
  for (const [what, fault] of [
    ["overloaded", ApiServer.tooManyRequests(1)],
    ["slow, since requests queue", Fault.Delay({ at: "Request", duration: "1 second" })],
    ["without space in its etcd", outOfSpace],
    ["loading its roles", Fault.Forbid({})],
    ["loading its custom resources", unknownPath],
    ["hidden by a page that says 403", page(403)],
    ["hidden by a page that says 404", page(404)]
  ] as const) {
    it.effect(`(${what}) delays an acquisition`, () =>
      Effect.gen(function* () {
        const server = yield* ApiServer.ApiServer
        yield* server.inject(fault, { times: 1 })
        yield* server.inject(fault, { times: 1, when: isWrite })
        assert.isTrue(yield* Effect.flatMap(Lock.scoped(freshId()), ({ isValid }) => isValid))
      }).pipe(Effect.scoped)
    )
  }

  for (const [fault, tag, words] of [
    [outOfSpace, "LockUnavailable", "etcdserver: mvcc: database space exceeded"],
    [page(404), "LockUnavailable", "something in front of the API server answered 404 (text/html)"],
    [unknownPath, "LockNotFound", "The API server does not serve the resource"],
    [Fault.Forbid({}), "LockForbidden", "Grant the verb in a Role"]
  ] as const) {
    it.effect(`that stays so ends the wait, and the message says: ${words}`, () =>
      Effect.gen(function* () {
        const server = yield* ApiServer.ApiServer
        yield* server.inject(fault, { when: isWrite })
        const error = yield* Effect.flip(Lock.scoped(freshId()))
        assert.strictEqual(error._tag, tag)
        assert.include(error.message, words)
      }).pipe(Effect.scoped)
    )
  }
})
