/**
 * Random answers of a server, or of something that pretends to be one. They lead to a typed error or a sound value, never to
 * a defect, a hang, or a lock that is taken over while it is held.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { KubernetesClient } from "../src/KubernetesClient.ts"
import * as Lock from "../src/Lock.ts"
import * as LockError from "../src/LockError.ts"
import * as LockPolicy from "../src/LockPolicy.ts"
import * as LockQueue from "../src/LockQueue.ts"
import { ObjectStore } from "../src/ObjectStore.ts"
import * as ObjectStoreKubernetes from "../src/ObjectStoreKubernetes.ts"
import * as Resource from "../src/Resource.ts"

interface Answer {
  readonly status: number
  readonly headers: Record<string, string>
  readonly body: string
}

/** Most of the answers are worth a warning. */
const quiet = Logger.layer([])

const forbidden = JSON.stringify({ kind: "Status", reason: "Forbidden", code: 403 })

/** A store whose server gives these answers one after the other. After the last one it always answers 403. */
const storeOf = (answers: ReadonlyArray<Answer>) => {
  const left = [...answers]
  const next = () => left.shift() ?? { status: 403, headers: {}, body: forbidden }
  const client = Layer.succeed(
    KubernetesClient,
    KubernetesClient.of({
      server: "http://nowhere",
      namespace: "default",
      request: () => Effect.sync(next),
      watch: () =>
        Effect.sync(() => {
          const { body, ...head } = next()
          return head.status === 200
            ? { ...head, lines: Stream.fromIterable(body.split("\n").filter((line) => line !== "")) }
            : { ...head, body }
        })
    })
  )
  return ObjectStoreKubernetes.layer({ resource: Resource.configMap, requestTimeout: "50 millis" }).pipe(
    Layer.provide(client),
    Layer.provideMerge(quiet)
  )
}

const object = {
  kind: "PartialObjectMetadata",
  apiVersion: "meta.k8s.io/v1",
  metadata: {
    name: "a",
    uid: "u-1",
    resourceVersion: "7",
    annotations: { [LockPolicy.dexAnnotation]: "2999-01-01T00:00:00Z", "example.com/other": "o" },
    labels: { [LockQueue.labelKey(LockPolicy.dexAnnotation)]: "0123456789ab" }
  }
}
const event = { type: "MODIFIED", object }
const status = {
  kind: "Status",
  apiVersion: "v1",
  status: "Failure",
  reason: "Conflict",
  code: 409,
  details: { name: "a" }
}

/** A JSON document: whole, cut off, or with something wrong at a random place. */
const Damaged = Schema.Struct({
  document: Schema.Literals([JSON.stringify(object), JSON.stringify(event), JSON.stringify(status)]),
  how: Schema.Literals(["whole", "cut", "retyped", "html", "empty", "noise"]),
  at: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 })),
  noise: Schema.String
})

const damage = ({ at, document, how, noise }: typeof Damaged.Type): string => {
  const place = Math.floor(at * document.length)
  switch (how) {
    case "whole":
      return document
    case "cut":
      return document.slice(0, place)
    case "retyped": {
      const strings = [...document.matchAll(/"[^"]*"(?!:)/g)]
      const chosen = strings[Math.floor(at * strings.length) % strings.length]!
      const replacement = ["1", "null", "[]", "{}", "true"][Math.floor(at * 5) % 5]!
      return document.slice(0, chosen.index) + replacement + document.slice(chosen.index + chosen[0].length)
    }
    case "html":
      return `<html><body>${document}</body></html>`
    case "empty":
      return ""
    case "noise":
      return document.slice(0, place) + noise + document.slice(place)
  }
}

const Answered = Schema.Struct({
  status: Schema.Literals([200, 201, 204, 400, 401, 403, 404, 408, 409, 410, 413, 418, 422, 429, 500, 502, 503, 504]),
  contentType: Schema.Literals(["application/json", "text/html", "text/plain; charset=utf-8", "application/x-unknown"]),
  date: Schema.Literals(["Tue, 24 Nov 2026 10:20:00 GMT", "yesterday", "", "Tue, 99 Foo 0000 99:99:99 GMT"]),
  retryAfter: Schema.Literals(["1", "-1", "soon", "99999999999999999999", "Tue, 24 Nov 2026 10:20:00 GMT"]),
  body: Damaged
})

const toAnswer = ({ body, contentType, date, retryAfter, status }: typeof Answered.Type): Answer => ({
  status,
  headers: { "content-type": contentType, date, "retry-after": retryAfter },
  body: damage(body)
})

const isStoreError = Schema.is(LockError.StoreError)
const isLockError = Schema.is(LockError.LockError)
const runs = { arbitrary: { runs: 300 } }

describe("broken answers", () => {
  it.live.prop(
    "become a typed error or a sound value, for every request",
    [Answered, Answered],
    ([first, second]) =>
      Effect.gen(function* () {
        const store = yield* ObjectStore
        const read = yield* Effect.result(store.read("a"))
        if (read._tag === "Failure") assert.isTrue(isStoreError(read.failure), String(read.failure))
        else assert.match(read.success.resourceVersion, /^\d+$/)
        const swapped = yield* Effect.result(
          store.compareAndSwap("a", { expect: { resourceVersion: "7" }, annotations: { "example.com/a": "1" } })
        )
        if (swapped._tag === "Failure") assert.isTrue(isStoreError(swapped.failure), String(swapped.failure))
        const { earliest, latest } = yield* store.now
        assert.isAtMost(earliest, latest)
      }).pipe(Effect.provide(storeOf([toAnswer(first), toAnswer(second)]))),
    runs
  )

  it.live.prop(
    "never make a lock that is held seem free or expired",
    [Schema.Array(Answered)],
    ([answers]) =>
      Effect.gen(function* () {
        const attempt = yield* Effect.result(Effect.scoped(Lock.tryScoped("a", { createIfMissing: false })))
        if (attempt._tag === "Failure") assert.isTrue(isLockError(attempt.failure), String(attempt.failure))
        else assert.fail("the lock was acquired though no answer said that it is free")
      }).pipe(
        Effect.provide(
          Lock.layer().pipe(
            Layer.provide(
              storeOf(
                answers
                  .map(toAnswer)
                  // An object without the lock's annotation really says that the lock is free.
                  .filter(({ body }) => !body.includes('"uid"') || body.includes('resource-lock":"2999'))
              )
            ),
            Layer.provideMerge(quiet)
          )
        )
      ),
    runs
  )

  it.effect.prop(
    "make a watch report sound changes, and then go on or fail with a typed error",
    [Schema.Array(Damaged)],
    ([lines]) =>
      Effect.gen(function* () {
        const store = yield* ObjectStore
        const watching = yield* store.watch("a", { since: "6" }).pipe(
          Stream.runForEach((change) =>
            Effect.sync(() => {
              if (change._tag === "Changed") assert.match(change.snapshot.resourceVersion, /^\d+$/)
            })
          ),
          Effect.result,
          Effect.forkChild({ startImmediately: true })
        )
        // A watch that ends is opened again after a pause.
        while (watching.pollUnsafe() === undefined) yield* TestClock.adjust("100 millis")
        const ended = yield* Fiber.join(watching)
        assert.isTrue(ended._tag === "Failure" && isStoreError(ended.failure))
      }).pipe(
        Effect.provide(storeOf([{ status: 200, headers: {}, body: lines.map((line) => `${damage(line)}\n`).join("") }]))
      ),
    runs
  )
})
