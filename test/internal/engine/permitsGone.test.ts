/** Permits whose lease somebody has removed: an operator, or a program that cleans up. In virtual time. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import type * as LockError from "../../../src/LockError.ts"
import type { Holder } from "../../../src/SharedLock.ts"
import { id, setUp, waitSchedule, wants, wantTogether } from "../../utils/lines.ts"

describe("a process that sees that its lease is gone", () => {
  it.effect("hands on none of its permits, if it sees it when it gives some of them back", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
      const take = us.semaphore.take(id, { limit: 3, waitSchedule })
      const [first, second, third] = yield* wantTogether([take, take, take])
      const [lease] = (yield* us.semaphore.inspect(id)).holders
      assert.deepInclude(lease, { permits: 3, granted: 3 })
      assert.isTrue(yield* them.semaphore.break(id, lease!.holder))
      const theirs = yield* wants(them.semaphore.take(id, { limit: 3, permits: 3 }))
      assert.isTrue(theirs.has())
      yield* first!.letGo
      const next = yield* wants(take)
      yield* TestClock.adjust(100)
      assert.isFalse(next.has(), "more permits than there are")
      const { lost } = yield* Fiber.join(second!.fiber)
      const told = yield* Effect.forkChild(Effect.flip(lost), { startImmediately: true })
      yield* TestClock.adjust(1)
      assert.isDefined(told.pollUnsafe(), "its holders are not told")
      yield* theirs.letGo
      yield* TestClock.adjust("2 seconds")
      assert.isTrue(next.has())
      for (const { letGo } of [second!, third!, next]) yield* letGo
    }).pipe(Effect.scoped)
  )

  it.effect("hands on none of its permits, if it sees it while it waits for more of them", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
      const others = [yield* aProcess("b"), yield* aProcess("c")]
      const taking = { limit: 5, waitSchedule }
      const theirs = yield* wants(them.semaphore.take(id, { limit: 5, permits: 3 }))
      const ours = yield* wantTogether([1, 2].map(() => us.semaphore.take(id, { ...taking, permits: 2 })))
      const inside = () => ours.map(({ has }) => has())
      assert.deepStrictEqual(inside(), [true, false])
      const behind = yield* Effect.forEach(others, ({ semaphore }) => wants(semaphore.take(id, taking)))
      const [lease] = (yield* us.semaphore.inspect(id)).waiters
      assert.deepInclude(lease, { permits: 4, granted: 2 })
      assert.isTrue(yield* them.semaphore.break(id, lease!.holder))
      yield* TestClock.adjust(100)
      assert.isTrue(behind.every(({ has }) => has()))
      assert.deepStrictEqual(inside(), [true, false], "more permits than there are")
      for (const { letGo } of [theirs, ...behind]) yield* letGo
      for (const one of ours) {
        yield* TestClock.adjust("5 seconds")
        assert.isTrue(one.has())
        yield* one.letGo
      }
    }).pipe(Effect.scoped)
  )

  it.effect("lets no reader in beside a writer, if it sees it when it would upgrade", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
      const reader = yield* wants(us.shared.shared(id))
      const [lease] = (yield* us.shared.inspect(id)).holders
      assert.isTrue(yield* them.shared.break(id, lease!.holder))
      const writer = yield* wants(them.shared.exclusive(id))
      assert.isTrue(writer.has())
      const { tryUpgrade } = yield* Fiber.join(reader.fiber)
      assert.deepInclude(yield* Effect.flip(tryUpgrade), { _tag: "LockLost", reason: "TakenOver" })
      const next = yield* wants(us.shared.shared(id, { waitSchedule }))
      yield* TestClock.adjust(100)
      assert.isFalse(next.has(), "a reader beside a writer")
      for (const one of [writer, next]) {
        assert.isTrue(one.has())
        yield* one.letGo
      }
    }).pipe(Effect.scoped)
  )
})

describe("the message of a loss", () => {
  it.effect("says that an annotation was removed, if an operator took the permits away", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const us = yield* aProcess("us")
      for (const [{ break: take, inspect }, wanted, name] of [
        [us.semaphore, us.semaphore.take(id, { limit: 1 }), 'permits of semaphore "gate"'],
        [us.shared, us.shared.exclusive(id), 'shared lock "gate"']
      ] as const) {
        const taken = yield* wants<Holder, LockError.LockError>(wanted)
        const { lost } = yield* Fiber.join(taken.fiber)
        assert.isTrue(yield* take(id, (yield* inspect(id)).holders[0]!.holder))
        const told = yield* Effect.forkChild(Effect.flip(lost))
        yield* TestClock.adjust("4 seconds")
        const { message } = yield* Fiber.join(told)
        assert.include(message, `Lost ${name} (gate in memory) after`)
        assert.include(message, ": another client removed its annotation.")
        yield* taken.letGo
      }
    }).pipe(Effect.scoped)
  )
})
