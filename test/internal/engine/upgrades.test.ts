/** Readers that become writers, while other fibers of their process do something with the same lease. In virtual time. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scheduler from "effect/Scheduler"
import * as TestClock from "effect/testing/TestClock"
import { ObjectStore } from "../../../src/ObjectStore.ts"
import { id, servicesOver, setUp, waitSchedule, wants } from "../../utils/lines.ts"

describe("an upgrade", () => {
  it.effect("is not taken back by a look that has ended meanwhile, wherever its fiber yields to others", () =>
    Effect.gen(function* () {
      const { aProcess, memory } = yield* setUp
      const { compareAndSwap } = memory.store
      const { shared } = yield* servicesOver(
        ObjectStore.of({
          ...memory.store,
          compareAndSwap: (...write) => Effect.delay(compareAndSwap(...write), "1 second")
        }),
        "us"
      )
      const reader = yield* wants(shared.shared(id))
      yield* TestClock.adjust("4 seconds")
      const held = yield* Fiber.join(reader.fiber)
      // The budget of the process is over, so it looks whether others wait. The reader that made it look gives up.
      const beside = yield* wants(shared.shared(id, { waitSchedule }))
      yield* Fiber.interrupt(beside.fiber)
      const upgrade = yield* Effect.forkChild(Effect.provideService(held.tryUpgrade, Scheduler.MaxOpsBeforeYield, 3))
      // A fiber that yields at each step takes many turns.
      for (let turn = 0; upgrade.pollUnsafe() === undefined; turn++) {
        assert.isBelow(turn, 500)
        yield* TestClock.adjust(10)
      }
      const writer = Option.getOrThrow(yield* Fiber.join(upgrade))
      yield* TestClock.adjust("3 seconds")
      assert.isTrue(yield* writer.isValid)
      const them = yield* aProcess("them")
      const other = yield* wants(them.shared.tryShared(id))
      assert.isFalse(other.has(), "a reader beside a writer")
      yield* Effect.forkChild(writer.downgrade)
      yield* TestClock.adjust("3 seconds")
      const another = yield* wants(them.shared.tryShared(id))
      assert.isTrue(another.has())
    }).pipe(Effect.scoped)
  )

  it.effect("is refused beside another reader of the process, and lets none in while it is under way", () =>
    Effect.gen(function* () {
      const { memory } = yield* setUp
      const { compareAndSwap } = memory.store
      const { shared } = yield* servicesOver(
        ObjectStore.of({ ...memory.store, compareAndSwap: (...write) => Effect.delay(compareAndSwap(...write), 300) }),
        "us"
      )
      const reader = yield* wants(shared.shared(id))
      yield* TestClock.adjust(400)
      const held = yield* Fiber.join(reader.fiber)
      const beside = yield* wants(shared.shared(id))
      assert.isTrue(beside.has())
      assert.isTrue(Option.isNone(yield* held.tryUpgrade))
      yield* beside.letGo
      const upgrade = yield* Effect.forkChild(held.tryUpgrade)
      yield* TestClock.adjust(10)
      const late = yield* wants(shared.shared(id, { waitSchedule }))
      yield* TestClock.adjust("2 seconds")
      assert.isTrue(Option.isSome(yield* Fiber.join(upgrade)))
      assert.isFalse(late.has(), "a reader beside a writer")
    }).pipe(Effect.scoped)
  )
})
