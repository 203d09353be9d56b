import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as watchStream from "../../../src/internal/kubernetes/watchStream.ts"
import * as LockError from "../../../src/LockError.ts"

const info = { id: "a", object: "a", namespaced: true, verb: "watch" }

/** How often a watch is opened in a minute, if each one behaves like `opened`. */
const opensInAMinute = (opened: Effect.Effect<Stream.Stream<string>, LockError.Unavailable>) =>
  Effect.gen(function* () {
    let opens = 0
    const stream = watchStream.make({
      apiClient: {
        request: () => Effect.never,
        now: Effect.succeed({ earliest: 0, latest: 0 }),
        watch: () =>
          Effect.suspend(() => {
            opens++
            return Effect.map(opened, (lines) => ({ status: 200, headers: {}, lines }))
          })
      },
      info,
      collectionPath: "/api",
      read: Effect.never,
      since: "1",
      label: undefined
    })
    yield* Effect.forkChild(Stream.runDrain(stream), { startImmediately: true })
    yield* TestClock.adjust("1 minute")
    return opens
  })

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
})
