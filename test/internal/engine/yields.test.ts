/** Fibers of one process that give up while others yield, at each step. In virtual time. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import type * as LockError from "../../../src/LockError.ts"
import { ObjectStore } from "../../../src/ObjectStore.ts"
import { id, type Process, servicesOver, setUp, waitSchedule, wants } from "../../utils/lines.ts"

type Take = (process: Process) => Effect.Effect<unknown, unknown, Scope.Scope>

const kinds: ReadonlyArray<readonly [what: string, take: Take]> = [
  ["a lock", ({ lock }) => lock.scoped(id, { waitSchedule })],
  ["permits", ({ semaphore }) => semaphore.take(id, { limit: 1, waitSchedule })],
  ["a shared lock", ({ shared }) => shared.exclusive(id, { waitSchedule })]
]

// A fiber yields to others after each operation. (With a smaller number it does nothing but yield.)
const yielding = Effect.provideService(Scheduler.MaxOpsBeforeYield, 3)

type Wanting = Effect.Success<ReturnType<typeof wants>>

// The waiter gives up so many steps after the fiber before it began to leave. The next one gets what neither of them keeps.
const handOver = Effect.fnUntraced(function* (
  take: Effect.Effect<unknown, unknown, Scope.Scope>,
  before: Wanting,
  waiter: Wanting,
  steps: number
) {
  const leaving = yield* Effect.forkChild(before.letGo)
  for (let step = 0; step < steps; step++) yield* Effect.yieldNow
  yield* Fiber.interrupt(waiter.fiber)
  yield* TestClock.adjust(100)
  yield* waiter.letGo
  yield* Fiber.join(leaving)
  const next = yield* wants(take)
  yield* TestClock.adjust(100)
  assert.isTrue(next.has(), `after ${steps} steps`)
  yield* next.letGo
  yield* TestClock.adjust(100)
})

describe.each(kinds)("a fiber that waits for %s of its process, and gives up just when it comes", (_, take) => {
  it.effect("does not keep it, at whatever step the fiber before it is", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const us = yield* world.aProcess("us")
      for (let steps = 0; steps < 60; steps++) {
        // It leaves in the context in which it came.
        const before = yield* wants(yielding(take(us)))
        for (let turn = 0; !before.has(); turn++) {
          assert.isBelow(turn, 1000)
          yield* TestClock.adjust(1)
        }
        const waiter = yield* wants(take(us))
        yield* handOver(take(us), before, waiter, steps)
      }
      yield* world.isUntouched
    }).pipe(Effect.scoped)
  )

  it.effect("does not keep it, at whatever step it is itself", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const us = yield* world.aProcess("us")
      for (let steps = 0; steps < 60; steps++) {
        const before = yield* wants(take(us))
        assert.isTrue(before.has())
        const waiter = yield* wants(yielding(take(us)))
        yield* TestClock.adjust(10)
        for (let turn = 0; turn < 300; turn++) yield* Effect.yieldNow
        yield* handOver(take(us), before, waiter, steps)
      }
      yield* world.isUntouched
    }).pipe(Effect.scoped)
  )
})

describe("a commit", () => {
  it.effect("is no loss, whenever the renewal that is under way asks for the time", () =>
    Effect.gen(function* () {
      for (let questions = 1; questions < 6; questions++) {
        const { memory } = yield* setUp
        let left = Number.POSITIVE_INFINITY
        let commit: Effect.Effect<void, LockError.LockError> = Effect.void
        let committed: Fiber.Fiber<void, LockError.LockError> | undefined
        const now = Effect.suspend(() =>
          --left === 0
            ? Effect.andThen(
                Effect.map(Effect.forkDetach(commit, { startImmediately: true }), (fiber) => (committed = fiber)),
                memory.store.now
              )
            : memory.store.now
        )
        const { lock } = yield* servicesOver(ObjectStore.of({ ...memory.store, now }), "us")
        const taken = yield* wants(lock.scoped(id))
        const held = yield* Fiber.join(taken.fiber)
        const lost = yield* Effect.forkChild(held.lost, { startImmediately: true })
        commit = held.commitAndRelease([], { "example.com/done": "1" })
        yield* TestClock.adjust("3 seconds")
        left = questions
        yield* TestClock.adjust("5 seconds")
        yield* Fiber.join(committed!)
        assert.isUndefined(lost.pollUnsafe(), `question ${questions}`)
        assert.isFalse(yield* held.isValid)
        yield* taken.letGo
      }
    }).pipe(Effect.scoped)
  )
})
