import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as watchStream from "../../../src/internal/kubernetes/watchStream.ts"
import * as LockError from "../../../src/LockError.ts"

const info = { id: "a", object: "a", namespaced: true, verb: "watch" }

/** A watch of an object that is read in this version, and whose watches behave like `opened`. */
const watching = (options: {
  readonly opened: (query: URLSearchParams) => Effect.Effect<Stream.Stream<string>, LockError.Unavailable>
  readonly version?: () => number
  readonly since?: string
  readonly changesOnly?: boolean
}) => {
  const requests = { watches: 0, reads: 0 }
  const stream = watchStream.make({
    includesContent: false,
    changesOnly: options.changesOnly ?? false,
    apiClient: {
      request: () => Effect.never,
      now: Effect.succeed({ earliest: 0, latest: 0 }),
      watch: ({ path }) =>
        Effect.suspend(() => {
          requests.watches++
          const lines = options.opened(new URL(path, "http://localhost").searchParams)
          return Effect.map(lines, (lines) => ({ status: 200, headers: {}, lines }))
        })
    },
    info,
    collectionPath: "/api",
    read: Effect.sync(() => {
      requests.reads++
      return { uid: "u", resourceVersion: String(options.version?.() ?? 1), annotations: {}, labels: {} }
    }),
    see: () => {},
    since: options.since ?? "1",
    label: undefined
  })
  return { requests, stream }
}

/** How often a watch is opened in a minute, if each one behaves like `opened`. */
const opensInAMinute = (opened: Effect.Effect<Stream.Stream<string>, LockError.Unavailable>) =>
  Effect.gen(function* () {
    const { requests, stream } = watching({ opened: () => opened })
    yield* Effect.forkChild(Stream.runDrain(stream), { startImmediately: true })
    yield* TestClock.adjust("1 minute")
    return requests.watches
  })

const expired = JSON.stringify({ type: "ERROR", object: { code: 410 } })

const broken = new LockError.Unavailable({ object: "a", verb: "watch", detail: "it broke" })

const event = (resourceVersion: number) =>
  JSON.stringify({ type: "MODIFIED", object: { metadata: { uid: "u", resourceVersion: String(resourceVersion) } } })

describe("a watch", () => {
  it.effect("that the server ends at once is opened rarely", () =>
    Effect.gen(function* () {
      assert.isAtMost(yield* opensInAMinute(Effect.succeed(Stream.empty)), 20)
    })
  )

  it.effect("that is refused is opened no earlier than the server asks", () =>
    Effect.gen(function* () {
      const retryAfter = Duration.seconds(20)
      const overloaded = new LockError.Unavailable({
        object: "a",
        verb: "watch",
        status: 429,
        detail: "busy",
        retryAfter
      })
      assert.isAtMost(yield* opensInAMinute(Effect.fail(overloaded)), 4)
    })
  )

  it.effect("that brings news before it ends is opened again at once", () =>
    Effect.gen(function* () {
      let version = 1
      const oneEvent = Effect.sync(() =>
        Stream.fromEffect(
          Effect.delay(
            Effect.sync(() => event(++version)),
            "1 second"
          )
        )
      )
      assert.isAtLeast(yield* opensInAMinute(oneEvent), 55)
    })
  )

  it.effect("that was open for a long time is opened again at once, every time", () =>
    Effect.gen(function* () {
      const silent = Effect.succeed(Stream.drain(Stream.fromEffect(Effect.sleep("6 seconds"))))
      assert.isAtLeast(yield* opensInAMinute(silent), 9)
    })
  )

  it.effect("makes at most two requests a second, whatever the server does", () =>
    Effect.gen(function* () {
      let version = 1
      const behaviours: Record<string, () => Stream.Stream<string>> = {
        "ends at once": () => Stream.empty,
        "ends after news": () => Stream.make(event(++version)),
        "ends after what is known": () => Stream.make(event(7)),
        "breaks after news": () => Stream.concat(Stream.make(event(++version)), Stream.make("nonsense")),
        "ends after nonsense": () => Stream.make("nonsense"),
        "has expired": () => Stream.make(expired)
      }
      for (const [behaviour, lines] of Object.entries(behaviours)) {
        const { requests, stream } = watching({ opened: () => Effect.sync(lines), version: () => version })
        const fiber = yield* Effect.forkChild(Stream.runDrain(stream), { startImmediately: true })
        yield* TestClock.adjust("1 minute")
        assert.isAtMost(requests.watches + requests.reads, 121, behaviour)
        yield* Fiber.interrupt(fiber)
      }
    })
  )

  it.effect("begins with the object as it is if the version that was read has expired, too", () =>
    Effect.gen(function* () {
      const begins: Array<string | null> = []
      const { stream } = watching({
        opened: (query) =>
          Effect.sync(() => {
            begins.push(query.get("resourceVersion"))
            return query.has("resourceVersion") ? Stream.make(expired) : Stream.never
          })
      })
      yield* Effect.forkChild(Stream.runDrain(stream), { startImmediately: true })
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(begins.slice(0, 3), ["1", "1", null])
    })
  )

  it.effect("that breaks begins anew if versions went backwards, and says that the object is gone that it told", () =>
    Effect.gen(function* () {
      const begins: Array<string | null> = []
      const { stream } = watching({
        since: "1000",
        version: () => 20,
        opened: (query) =>
          Effect.sync(() => {
            begins.push(query.get("resourceVersion"))
            return begins.length > 1
              ? Stream.concat(Stream.make(event(21)), Stream.never)
              : Stream.concat(Stream.make(event(1001)), Stream.fail(broken) as Stream.Stream<never>)
          })
      })
      const events: Array<string> = []
      yield* Effect.forkChild(
        Stream.runForEach(stream, (event) =>
          Effect.sync(() => events.push(event._tag === "Changed" ? event.snapshot.resourceVersion : event._tag))
        ),
        { startImmediately: true }
      )
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(begins, ["1000", "20"])
      assert.deepStrictEqual(events, ["1001", "Deleted", "21"])
    })
  )

  it.effect("of changes only tells no deletion, in whatever order the server writes the fields of an event", () =>
    Effect.gen(function* () {
      const object = { metadata: { uid: "u", resourceVersion: "2" } }
      const lines = [JSON.stringify({ object, type: "DELETED" }), event(3)]
      const { stream } = watching({ changesOnly: true, opened: () => Effect.succeed(Stream.fromIterable(lines)) })
      const [first] = yield* Stream.runCollect(Stream.take(stream, 1))
      assert.deepInclude(first, { _tag: "Changed" })
    })
  )
})
