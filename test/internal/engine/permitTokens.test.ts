/** The fencing tokens of permits that go from one process to another. In virtual time. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import { patience } from "../../../src/internal/engine/permitPool.ts"
import { id, setUp, waitSchedule, wants, wantTogether } from "../../utils/lines.ts"

describe("the token of a permit that a lease gets later than its others", () => {
  it.effect("is greater than that of the process which had it before, however late that one heard of it", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const [a, b, deaf, us] = [
        yield* aProcess("a"),
        yield* aProcess("b"),
        yield* aProcess("deaf"),
        yield* aProcess("us")
      ]
      deaf.watching.fault = "Silent"
      const options = { limit: 2, waitSchedule }
      const holders = [yield* wants(a.semaphore.take(id, options)), yield* wants(b.semaphore.take(id, options))]
      const before = yield* wants(deaf.semaphore.take(id, options))
      yield* TestClock.adjust("4 seconds")
      const ours = yield* wantTogether([us.semaphore.take(id, options), us.semaphore.take(id, options)])
      const inside = () => ours.map(({ has }) => has())
      for (const { letGo } of holders) yield* letGo
      assert.deepStrictEqual([before.has(), ...inside()], [false, true, false])
      // It learns that it has its permit when it writes its place anew.
      for (let millis = 0; !before.has(); millis += 10) {
        assert.isBelow(millis, patience / 2)
        yield* TestClock.adjust(10)
      }
      const [first, last] = ours
      const { fencingToken } = yield* Fiber.join(before.fiber)
      assert.isTrue(fencingToken > (yield* Fiber.join(first!.fiber)).fencingToken, "it heard of it in time")
      yield* before.letGo
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(inside(), [true, true])
      assert.isTrue((yield* Fiber.join(last!.fiber)).fencingToken > fencingToken)
      for (const { letGo } of ours) yield* letGo
    }).pipe(Effect.scoped)
  )
})
