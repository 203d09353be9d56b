/** What the client of a cluster makes of the `Date` of its answers: the server's time, and a line of log where that is not to be had. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as apiClient from "../../../src/internal/kubernetes/apiClient.ts"
import * as serverClock from "../../../src/internal/time/serverClock.ts"
import { logged } from "../../utils/logged.ts"

const began = Date.UTC(2026, 10, 28, 12)

const utc = (millis: number) => new Date(millis).toUTCString()

/** A client at noon whose answers have these dates, one after the other. `undefined` is none. */
const setUp = (dates: ReadonlyArray<string | undefined>, clock: "server" | "local" = "server") =>
  Effect.gen(function* () {
    yield* TestClock.setTime(began)
    const left = [...dates]
    const client = apiClient.make(
      {
        server: "https://example.com",
        namespace: "default",
        request: () => Effect.sync(() => ({ status: 200, headers: { date: left.shift() }, body: "{}" })),
        watch: () => Effect.succeed({ status: 200, headers: {}, lines: Stream.empty })
      },
      { requestTimeout: Duration.seconds(5), clock }
    )
    const info = { id: "a", object: "a", namespaced: true, verb: "get" }
    const ask = client.request({ method: "GET", path: "/", headers: {} }, info)
    return { now: client.now, ask }
  })

const aroundNoon = { earliest: began - apiClient.localClockError, latest: began + apiClient.localClockError }

describe("the client of a cluster", () => {
  it.effect("does not know the time before the first answer, whatever its machine's clock says", () =>
    Effect.gen(function* () {
      const { now } = yield* setUp([])
      assert.deepStrictEqual(yield* now, serverClock.unknown)
    })
  )

  for (const date of [undefined, "today", "2026-11-28T12:00:00Z"]) {
    it.effect(
      `goes by the machine's clock, with an error to either side, if the Date of answers is ${date}, and says so once`,
      () =>
        Effect.gen(function* () {
          const { ask, now } = yield* setUp([date, date])
          const lines = yield* logged(Effect.andThen(ask, ask))
          assert.deepStrictEqual(yield* now, aroundNoon)
          assert.lengthOf(lines, 1)
          assert.match(lines[0]!, /^Warn A response of the API server has no usable Date header.*within 2s 500ms\.$/)
        })
    )
  }

  it.effect("goes on with the time that it knows if that is known more closely", () =>
    Effect.gen(function* () {
      const { ask, now } = yield* setUp([utc(began - 7_200_000), utc(began - 7_200_000), undefined])
      yield* logged(Effect.andThen(ask, Effect.andThen(ask, ask)))
      assert.isBelow((yield* now).latest, began - 7_000_000)
    })
  )

  it.effect("does not believe a Date that is hours off until a second answer confirms it, and says so once", () =>
    Effect.gen(function* () {
      const { ask, now } = yield* setUp(["Thu, 01 Jan 1970 00:00:00 GMT", utc(began), "Thu, 01 Jan 1970 00:00:00 GMT"])
      const first = yield* logged(ask)
      assert.deepStrictEqual(yield* now, serverClock.unknown)
      assert.lengthOf(first, 1)
      assert.match(
        first[0]!,
        /^Warn A response of the API server says that it is 1970-01-01T00:00:00Z\. That is not believed/
      )
      assert.deepStrictEqual(yield* logged(Effect.andThen(ask, ask)), [])
      const { earliest, latest } = yield* now
      assert.isAtLeast(earliest, began)
      assert.isAtMost(latest, began + 1001)
    })
  )

  it.effect("goes by the machine's clock alone if it is told to", () =>
    Effect.gen(function* () {
      const { ask, now } = yield* setUp([utc(began + 60_000)], "local")
      yield* logged(ask)
      assert.deepStrictEqual(yield* now, { earliest: began, latest: began })
    })
  )
})
