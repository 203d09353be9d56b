/** Permits that were given back without an answer. In virtual time. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import { patience } from "../../../src/internal/engine/release.ts"
import * as FaultyStore from "../../utils/FaultyStore.ts"
import { id, setUp, waitSchedule, wants, wantTogether } from "../../utils/lines.ts"

const limit = 3

// A process whose lease has all permits, and gives one of them back while the server gives no answers, until the release gives up.
const givingBack = Effect.fnUntraced(function* (first: FaultyStore.Fault) {
  const { aProcess, isUntouched } = yield* setUp
  const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
  const take = us.semaphore.take(id, { limit, waitSchedule })
  const ours = yield* wantTogether([take, take, take])
  assert.deepInclude((yield* them.semaphore.inspect(id)).holders[0], { permits: 3, granted: 3 })
  us.faults.push(["write", first])
  FaultyStore.failAll(us, "Refused")
  const leaving = yield* Effect.forkChild(ours[0]!.letGo)
  yield* TestClock.adjust(100)
  return {
    us,
    take,
    isUntouched,
    ours: ours.slice(1),
    theirs: wants(them.semaphore.take(id, { limit, waitSchedule })),
    hasGivenUp: Effect.andThen(TestClock.adjust(patience), Fiber.join(leaving))
  }
})

describe("permits that were given back without an answer", () => {
  it.effect("are not handed on: others may have them", () =>
    Effect.gen(function* () {
      const { hasGivenUp, isUntouched, ours, take, theirs, us } = yield* givingBack("Lost")
      const other = yield* theirs
      assert.isTrue(other.has())
      yield* hasGivenUp
      const next = yield* wants(take)
      yield* TestClock.adjust(100)
      assert.isFalse(next.has(), "more permits than there are")
      us.faults.length = 0
      yield* TestClock.adjust("10 seconds")
      assert.isFalse(next.has(), "more permits than there are")
      yield* other.letGo
      yield* TestClock.adjust("5 seconds")
      assert.isTrue(next.has())
      for (const { letGo } of [...ours, next]) yield* letGo
      yield* TestClock.adjust("10 seconds")
      yield* isUntouched
    }).pipe(Effect.scoped)
  )

  it.effect("are given back once the server answers again, although nobody else leaves", () =>
    Effect.gen(function* () {
      const { hasGivenUp, isUntouched, ours, theirs, us } = yield* givingBack("Refused")
      yield* hasGivenUp
      us.faults.length = 0
      const other = yield* theirs
      assert.isFalse(other.has())
      yield* TestClock.adjust("2 seconds")
      assert.isTrue(other.has())
      yield* TestClock.adjust("10 seconds")
      for (const { fiber } of [...ours, other]) assert.isTrue(yield* (yield* Fiber.join(fiber)).isValid)
      const before = us.requests.length
      yield* TestClock.adjust("10 seconds")
      // Renewals only.
      assert.isAtMost(us.requests.length - before, 4)
      for (const { letGo } of [...ours, other]) yield* letGo
      yield* TestClock.adjust("1 second")
      yield* isUntouched
    }).pipe(Effect.scoped)
  )
})
