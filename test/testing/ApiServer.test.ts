import { assert, describe, it } from "@effect/vitest"
import { CoreV1Api, KubeConfig } from "@kubernetes/client-node"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { connect, type Socket } from "node:net"
import * as Resource from "../../src/Resource.ts"
import * as ApiServer from "../../src/testing/ApiServer.ts"
import { send, watch } from "./http.ts"
import { ask, post, test, token, tokens } from "./requests.ts"

describe("ApiServer", () => {
  test(
    "lets a test read, write and remove objects directly",
    Effect.gen(function* () {
      const server = yield* ApiServer.ApiServer
      const put = yield* server.put(Resource.refreshToken, "dex", { metadata: { name: "a" }, token: "1" })
      assert.deepStrictEqual((yield* ask({ path: `${tokens}/a` })).json as unknown, put)
      const again = yield* server.put(Resource.refreshToken, "dex", { metadata: { name: "a" }, token: "2" })
      assert.strictEqual(again.metadata.uid, put.metadata.uid)
      assert.notStrictEqual(again.metadata.resourceVersion, put.metadata.resourceVersion)
      assert.deepStrictEqual(yield* server.get(Resource.refreshToken, "dex", "a"), Option.some(again))
      assert.deepStrictEqual(yield* server.list(Resource.refreshToken, ""), [again])
      yield* server.remove(Resource.refreshToken, "dex", "a")
      assert.isTrue(Option.isNone(yield* server.get(Resource.refreshToken, "dex", "a")))
    })
  )

  test(
    "counts and records requests",
    Effect.gen(function* () {
      const server = yield* ApiServer.ApiServer
      yield* post(token("a"))
      yield* ask({ path: `${tokens}/b?x=1` })
      yield* ask({ path: tokens })
      yield* ask({ path: "/version" })
      assert.include(yield* server.counts, { post: 1, get: 1, list: 1, other: 1, watch: 0 })
      const [, second] = yield* server.requests
      assert.strictEqual(second?.path, `${tokens}/b`)
      assert.strictEqual(second?.query.get("x"), "1")
      assert.strictEqual(second?.status, 404)
      yield* server.clearRequests
      assert.strictEqual((yield* server.counts).get, 0)
      assert.deepStrictEqual(yield* server.requests, [])
    })
  )

  test(
    "takes the time from Effect's clock, with an offset",
    Effect.gen(function* () {
      const server = yield* ApiServer.ApiServer
      yield* TestClock.setTime(Date.UTC(2026, 10, 24, 10, 0, 0, 999))
      assert.strictEqual((yield* ask({ path: "/readyz" })).headers.date, "Tue, 24 Nov 2026 10:00:00 GMT")
      yield* server.setClockOffset(Duration.seconds(-90))
      assert.strictEqual((yield* ask({ path: "/readyz" })).headers.date, "Tue, 24 Nov 2026 09:58:30 GMT")
      assert.strictEqual((yield* post(token("a"))).json.metadata.creationTimestamp, "2026-11-24T09:58:30Z")
    })
  )

  it.effect("requires the token, and accepts a new one", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.ApiServer
      const statusWith = (authorization?: string) =>
        Effect.map(
          ask({ path: tokens, headers: authorization === undefined ? {} : { authorization } }),
          ({ status }) => status
        )
      assert.strictEqual(yield* statusWith("Bearer one"), 200)
      assert.strictEqual(yield* statusWith("bearer one"), 200)
      assert.strictEqual(yield* statusWith("Bearer two"), 401)
      assert.strictEqual(yield* statusWith(), 403)
      assert.strictEqual((yield* ask({ path: "/readyz" })).status, 200)
      yield* server.setToken("two")
      assert.strictEqual(yield* statusWith("Bearer two"), 200)
      assert.strictEqual(yield* statusWith("Bearer one"), 401)
    }).pipe(Effect.provide(ApiServer.layer({ token: "one" })))
  )

  it.effect("has a kubeconfig that the official client understands", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.ApiServer
      yield* server.put(Resource.configMap, "default", { metadata: { name: "a" }, data: { x: "1" } })
      const config = new KubeConfig()
      config.loadFromString(server.kubeConfig)
      assert.strictEqual(config.getContextObject(config.getCurrentContext())?.namespace, "default")
      const client = config.makeApiClient(CoreV1Api)
      const map = yield* Effect.promise(() => client.readNamespacedConfigMap({ name: "a", namespace: "default" }))
      assert.deepStrictEqual(map.data, { x: "1" })
    }).pipe(Effect.provide(ApiServer.layer({ token: `quotes " and 'such'` })))
  )

  it.live("closes at once, also with open watches and with delayed or unfinished requests", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const server = yield* ApiServer.make().pipe(Scope.provide(scope))
      const open = yield* watch(server.url, { path: `${tokens}?watch=1` })
      yield* server.inject(ApiServer.Fault.Delay({ at: "Request", duration: "1 minute" }))
      yield* Effect.forkScoped(Effect.ignore(send(server.url, { path: tokens })))
      while ((yield* server.counts).list === 0) yield* Effect.sleep(1)
      yield* Effect.acquireRelease(
        Effect.callback<Socket>((resume) => {
          const socket = connect(Number(new URL(server.url).port), "127.0.0.1")
          socket.on("error", () => {})
          socket.write("POST /apis HTTP/1.1\r\nHost:", () => resume(Effect.succeed(socket)))
        }),
        (socket) => Effect.sync(() => socket.destroy())
      )
      yield* Effect.sleep(20)
      const [duration] = yield* Effect.timed(Scope.close(scope, Exit.void))
      // The open requests would last for a minute.
      assert.isBelow(Duration.toSeconds(duration), 20)
      assert.strictEqual(yield* open.ended, "clean")
      assert.isTrue(Exit.isFailure(yield* Effect.exit(send(server.url, { path: "/readyz" }))))
    })
  )
})
