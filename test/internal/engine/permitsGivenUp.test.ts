/** Waiters for permits that give up while their process gives back what it has. In virtual time. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import { ObjectStore } from "../../../src/ObjectStore.ts"
import { id, servicesOver, setUp, waitSchedule, wants } from "../../utils/lines.ts"

describe("a waiter that gives up while the release of its process puts it into the line", () => {
  it.effect("leaves the line, and keeps nobody out when its turn has come", () =>
    Effect.gen(function* () {
      const { aProcess, isUntouched, memory } = yield* setUp
      const { compareAndSwap } = memory.store
      const { semaphore } = yield* servicesOver(
        ObjectStore.of({ ...memory.store, compareAndSwap: (...write) => Effect.delay(compareAndSwap(...write), 100) }),
        "us"
      )
      const [them, others] = [yield* aProcess("them"), yield* aProcess("others")]
      const holder = yield* wants(semaphore.take(id, { limit: 1 }))
      yield* TestClock.adjust(100)
      const next = yield* wants(them.semaphore.take(id, { limit: 1, waitSchedule }))
      // A renewal shows the process that others wait, so it hands nothing on.
      yield* TestClock.adjust("4 seconds")
      const waiter = yield* wants(semaphore.take(id, { limit: 1, waitSchedule }))
      yield* Effect.forkChild(holder.letGo)
      yield* TestClock.adjust(1)
      yield* TestClock.adjust(50)
      yield* Fiber.interrupt(waiter.fiber)
      yield* TestClock.adjust(60)
      assert.isTrue(next.has())
      assert.lengthOf((yield* them.semaphore.inspect(id)).waiters, 1, "the release does not put it into the line")
      yield* TestClock.adjust("1 second")
      yield* next.letGo
      const last = yield* wants(others.semaphore.take(id, { limit: 1, waitSchedule }))
      yield* TestClock.adjust(100)
      assert.isTrue(last.has())
      yield* last.letGo
      yield* isUntouched
    }).pipe(Effect.scoped)
  )
})
