import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import * as Resource from "../../src/Resource.ts"
import * as ApiServer from "../../src/testing/ApiServer.ts"
import { send, watch, type WatchEvent } from "./http.ts"
import { patch, test, tokens } from "./requests.ts"

const put = (name: string, labels: Readonly<Record<string, string>> = {}, namespace = "dex") =>
  ApiServer.ApiServer.use((server) => server.put(Resource.refreshToken, namespace, { metadata: { name, labels } }))
const remove = (name: string) => ApiServer.ApiServer.use((server) => server.remove(Resource.refreshToken, "dex", name))
const observe = (query: string, path = tokens) =>
  ApiServer.ApiServer.use(({ url }) => watch(url, { path: `${path}?watch=1&${query}` }))
const summary = (events: ReadonlyArray<WatchEvent>) =>
  events.map(({ object, type }) => `${type} ${object.metadata.name} ${object.metadata.labels?.["k"] ?? ""}`.trim())

describe("watch", () => {
  test(
    "reports the current objects, then the changes",
    Effect.gen(function* () {
      yield* put("a")
      const open = yield* observe("")
      assert.deepStrictEqual(summary(yield* open.until(1)), ["ADDED a"])
      yield* put("b")
      yield* put("a", { k: "1" })
      yield* remove("b")
      assert.deepStrictEqual(summary(yield* open.until(4)), ["ADDED a", "ADDED b", "MODIFIED a 1", "DELETED b"])
    })
  )

  test(
    "continues from a version without a gap or a repetition",
    Effect.gen(function* () {
      const { metadata } = yield* put("a", { k: "1" })
      yield* put("a", { k: "2" })
      yield* put("other", {}, "elsewhere")
      const open = yield* observe(`resourceVersion=${metadata.resourceVersion}`)
      yield* put("a", { k: "3" })
      assert.deepStrictEqual(summary(yield* open.until(2)), ["MODIFIED a 2", "MODIFIED a 3"])
    })
  )

  test(
    "reports only the object of a field selector, and the objects of all namespaces without a namespace",
    Effect.gen(function* () {
      const one = yield* observe("fieldSelector=metadata.name%3Da&resourceVersion=1")
      const all = yield* observe("resourceVersion=1", "/apis/dex.coreos.com/v1/refreshtokens")
      const named = yield* observe(
        "fieldSelector=metadata.name%3Da&resourceVersion=1",
        "/apis/dex.coreos.com/v1/refreshtokens"
      )
      yield* put("b")
      yield* put("a", { k: "x" }, "elsewhere")
      yield* put("a", { k: "y" })
      assert.deepStrictEqual(summary(yield* one.until(1)), ["ADDED a y"])
      assert.deepStrictEqual(summary(yield* all.until(3)), ["ADDED b", "ADDED a x", "ADDED a y"])
      assert.deepStrictEqual(summary(yield* named.until(2)), ["ADDED a x", "ADDED a y"])
    })
  )

  test(
    "reports ADDED when an object gets the selected label, and DELETED with old content and new version when it loses it",
    Effect.gen(function* () {
      const { metadata } = yield* put("a", { k: "1" })
      const open = yield* observe(`labelSelector=k%3D2&resourceVersion=${metadata.resourceVersion}`)
      yield* put("a", { k: "2" })
      const gone = yield* put("a", { k: "3" })
      yield* put("a", { k: "4" })
      yield* put("a", { k: "2" })
      yield* remove("a")
      const events = yield* open.until(4)
      assert.deepStrictEqual(summary(events), ["ADDED a 2", "DELETED a 2", "ADDED a 2", "DELETED a 2"])
      assert.strictEqual(events[1]!.object.metadata.resourceVersion, gone.metadata.resourceVersion)
    })
  )

  test(
    "does not report a write that changes nothing",
    Effect.gen(function* () {
      yield* put("a", { k: "1" })
      const open = yield* observe("")
      yield* patch("a", { metadata: { labels: { k: "1" } } })
      yield* put("b")
      assert.deepStrictEqual(summary(yield* open.until(2)), ["ADDED a 1", "ADDED b"])
    })
  )

  test(
    "sends bookmarks after the current state, each minute, and before the end if there is news",
    Effect.gen(function* () {
      yield* put("a")
      const open = yield* observe("allowWatchBookmarks=true&timeoutSeconds=100")
      const [, first] = yield* open.until(2)
      assert.deepStrictEqual(first!.object.metadata.annotations, { "k8s.io/initial-events-end": "true" })
      yield* TestClock.adjust("60 seconds")
      yield* open.until(3)
      const { metadata } = yield* put("a", { k: "1" })
      yield* open.until(4)
      yield* TestClock.adjust("39 seconds")
      const events = yield* open.until(5)
      assert.deepStrictEqual(
        events.map(({ type }) => type),
        ["ADDED", "BOOKMARK", "BOOKMARK", "MODIFIED", "BOOKMARK"]
      )
      assert.strictEqual(events[4]!.object.metadata.resourceVersion, metadata.resourceVersion)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* open.ended, "clean")
    })
  )

  test(
    "refuses a version that was compacted",
    Effect.gen(function* () {
      const server = yield* ApiServer.ApiServer
      const { metadata } = yield* put("a")
      yield* server.compact
      const open = yield* observe(`resourceVersion=${metadata.resourceVersion}`)
      assert.strictEqual(open.status, 200)
      assert.strictEqual(yield* open.ended, "clean")
      assert.strictEqual(open.events[0]!.type, "ERROR")
      assert.strictEqual(open.events[0]!.object.code, 410)
      assert.strictEqual(open.events[0]!.object.reason, "Expired")
      const { json: list } = yield* send(server.url, { path: tokens })
      const fresh = yield* observe(`resourceVersion=${list.metadata.resourceVersion}`)
      yield* put("b")
      assert.deepStrictEqual(summary(yield* fresh.until(1)), ["ADDED b"])
    })
  )

  test(
    "keeps a bounded history",
    Effect.gen(function* () {
      const { metadata } = yield* put("a")
      for (let i = 0; i < 25; i++) yield* put("a", { k: String(i) })
      const old = yield* observe(`resourceVersion=${metadata.resourceVersion}`)
      assert.strictEqual((yield* old.until(1))[0]!.type, "ERROR")
      const recent = yield* observe(`resourceVersion=${Number(metadata.resourceVersion) + 20}`)
      assert.deepStrictEqual(
        summary(yield* recent.until(5)),
        [20, 21, 22, 23, 24].map((k) => `MODIFIED a ${k}`)
      )
    }),
    { historyLimit: 10 }
  )

  test(
    "ends on request, cleanly or abruptly, and is counted while it is open",
    Effect.gen(function* () {
      const server = yield* ApiServer.ApiServer
      const first = yield* observe("")
      yield* observe("")
      assert.strictEqual(yield* server.openWatches, 2)
      assert.strictEqual(yield* server.endWatches(), 2)
      assert.strictEqual(yield* first.ended, "clean")
      const second = yield* observe("")
      assert.strictEqual(yield* server.endWatches("Abruptly"), 1)
      assert.strictEqual(yield* second.ended, "broken")
      assert.strictEqual((yield* server.counts).watch, 3)
    })
  )

  test(
    "reports nothing while it is frozen, and everything afterwards",
    Effect.gen(function* () {
      const server = yield* ApiServer.ApiServer
      const open = yield* observe("resourceVersion=1")
      const quiet = yield* observe("fieldSelector=metadata.name%3Dz")
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* server.freezeWatches
          yield* put("a")
          yield* server.endWatches()
          yield* send(server.url, { path: "/readyz" })
          assert.deepStrictEqual(open.events, [])
          assert.isFalse(quiet.isOver())
        })
      )
      assert.strictEqual(yield* open.ended, "clean")
      assert.deepStrictEqual(summary(open.events), ["ADDED a"])
      assert.strictEqual(yield* quiet.ended, "clean")
    })
  )

  test(
    "forgets a client that goes away",
    Effect.gen(function* () {
      const server = yield* ApiServer.ApiServer
      yield* Effect.scoped(observe(""))
      while ((yield* server.openWatches) > 0) yield* TestClock.withLive(Effect.sleep(1))
      yield* put("a")
      assert.strictEqual(yield* server.openWatches, 0)
    })
  )

  test(
    "refuses a time-out that is not a number, and an invalid selector",
    Effect.gen(function* () {
      const { url } = yield* ApiServer.ApiServer
      assert.strictEqual((yield* send(url, { path: `${tokens}?watch=1&timeoutSeconds=x` })).status, 400)
      assert.strictEqual((yield* send(url, { path: `${tokens}?watch=1&labelSelector=a%20b` })).status, 400)
    })
  )
})
