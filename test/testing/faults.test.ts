import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import * as Resource from "../../src/Resource.ts"
import * as ApiServer from "../../src/testing/ApiServer.ts"
import { send, watch } from "./http.ts"
import * as requests from "./requests.ts"

const { Answer, Delay, Drop, Forbid } = ApiServer.Fault
const { ask, patch, tokens } = requests
const get = ask({ path: `${tokens}/a` })
const write = (value: string) => patch("a", { token: value })
const stored = ApiServer.ApiServer.use((server) =>
  Effect.map(server.get(Resource.refreshToken, "dex", "a"), (object) => Option.getOrThrow(object)["token"])
)
const inject = (fault: ApiServer.Fault, options?: ApiServer.InjectOptions) =>
  ApiServer.ApiServer.use((server) => server.inject(fault, options))
const statuses = Effect.fnUntraced(function* (count: number) {
  const seen: Array<number> = []
  for (let i = 0; i < count; i++) seen.push((yield* get).status)
  return seen
})
const test = (name: string, effect: Effect.Effect<unknown, unknown, ApiServer.ApiServer | Scope.Scope>) =>
  requests.test(
    name,
    ApiServer.ApiServer.use((server) =>
      server.put(Resource.refreshToken, "dex", { metadata: { name: "a" }, token: "0" })
    ).pipe(Effect.andThen(effect))
  )

describe("faults", () => {
  test(
    "hit the next two requests, then no more",
    Effect.gen(function* () {
      const hits = yield* inject(ApiServer.tooManyRequests(7), { times: 2 })
      const first = yield* get
      assert.strictEqual(first.status, 429)
      assert.strictEqual(first.headers["retry-after"], "7")
      assert.strictEqual(first.headers["content-type"], "text/plain; charset=utf-8")
      assert.deepStrictEqual(yield* statuses(2), [429, 200])
      assert.strictEqual(yield* hits, 2)
    })
  )

  test(
    "hit only requests that match, until the scope closes",
    Effect.gen(function* () {
      const fault = Answer({ at: "Request", status: 503 })
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* inject(fault, { when: ({ path, verb }) => verb === "patch" && path.endsWith("/a") })
          assert.deepStrictEqual(yield* statuses(2), [200, 200])
          assert.strictEqual((yield* write("1")).status, 503)
          assert.strictEqual((yield* write("1")).status, 503)
        })
      )
      assert.strictEqual((yield* write("1")).status, 200)
    })
  )

  test(
    "drop a request before it is applied, or its answer afterwards",
    Effect.gen(function* () {
      yield* inject(Drop({ at: "Request" }), { times: 1 })
      assert.isTrue(Exit.isFailure(yield* Effect.exit(write("1"))))
      assert.strictEqual(yield* stored, "0")
      yield* inject(Drop({ at: "Answer" }), { times: 1 })
      assert.isTrue(Exit.isFailure(yield* Effect.exit(write("2"))))
      assert.strictEqual(yield* stored, "2")
      assert.deepStrictEqual(
        (yield* ApiServer.ApiServer.use((server) => server.requests)).map(({ status }) => status),
        [undefined, undefined]
      )
    })
  )

  test(
    "answer a write with garbage, before or after it is applied",
    Effect.gen(function* () {
      const page = "<html>Bad Gateway</html>"
      yield* inject(Answer({ at: "Answer", status: 502, body: page, contentType: "text/html" }), { times: 1 })
      const answer = yield* write("1")
      assert.strictEqual(answer.status, 502)
      assert.strictEqual(answer.text, page)
      assert.strictEqual(answer.headers["content-type"], "text/html")
      assert.strictEqual(yield* stored, "1")
      yield* inject(Answer({ at: "Request", status: 200, body: `{"kind":`, contentType: "application/json" }), {
        times: 1
      })
      assert.strictEqual((yield* get).text, `{"kind":`)
    })
  )

  test(
    "delay a request before or after it is applied",
    Effect.gen(function* () {
      const counts = ApiServer.ApiServer.use((server) => server.counts)
      yield* inject(Delay({ at: "Request", duration: "5 seconds" }), { times: 1 })
      const first = yield* Effect.forkScoped(write("1"))
      while ((yield* counts).patch < 1) yield* TestClock.withLive(Effect.sleep(1))
      assert.strictEqual(yield* stored, "0")
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* Fiber.join(first)).status, 200)
      yield* inject(Delay({ at: "Answer", duration: "5 seconds" }), { times: 1 })
      const second = yield* Effect.forkScoped(write("2"))
      while ((yield* stored) !== "2") yield* TestClock.withLive(Effect.sleep(1))
      assert.isUndefined(second.pollUnsafe())
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* Fiber.join(second)).status, 200)
    })
  )

  test(
    "forbid a verb with the message of RBAC",
    Effect.gen(function* () {
      yield* inject(Forbid({ user: "dex" }), { when: ({ verb }) => verb === "patch" || verb === "put" })
      const { json, status } = yield* write("1")
      assert.strictEqual(status, 403)
      assert.strictEqual(json.reason, "Forbidden")
      assert.strictEqual(
        json.message,
        `refreshtokens.dex.coreos.com "a" is forbidden: User "dex" cannot patch resource "refreshtokens" in API group "dex.coreos.com" in the namespace "dex"`
      )
      assert.strictEqual(yield* stored, "0")
    })
  )

  test(
    "hit one after the other, up to the first that ends the request",
    Effect.gen(function* () {
      const delays = yield* inject(Delay({ at: "Request", duration: 0 }))
      const refusals = yield* inject(Answer({ at: "Request", status: 500 }), { times: 1 })
      const drops = yield* inject(Drop({ at: "Answer" }), { times: 1 })
      assert.strictEqual((yield* get).status, 500)
      assert.deepStrictEqual([yield* delays, yield* refusals, yield* drops], [1, 1, 0])
      assert.isTrue(Exit.isFailure(yield* Effect.exit(get)))
      assert.strictEqual((yield* get).status, 200)
    })
  )

  test(
    "hit watches too",
    Effect.gen(function* () {
      const { url } = yield* ApiServer.ApiServer
      yield* inject(ApiServer.tooManyRequests(), { when: ({ verb }) => verb === "watch", times: 1 })
      assert.strictEqual((yield* send(url, { path: `${tokens}?watch=1` })).status, 429)
      const open = yield* watch(url, { path: `${tokens}?watch=1` })
      assert.strictEqual((yield* open.until(1))[0]!.type, "ADDED")
    })
  )
})
