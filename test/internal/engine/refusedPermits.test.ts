/** A cluster with a rule that refuses what waiters for permits write. In virtual time. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as TestClock from "effect/testing/TestClock"
import * as LockError from "../../../src/LockError.ts"
import * as LockPolicy from "../../../src/LockPolicy.ts"
import { logged } from "../../utils/logged.ts"
import { id, servicesOver, setUp, waitSchedule, wants } from "../../utils/lines.ts"

const full = new LockError.Rejected({ object: id, verb: "patch", status: 422, detail: "annotations are full" })
const denied = new LockError.Forbidden({ object: id, verb: "patch", status: 403, refusedBy: "Webhook", detail: "no" })

describe("a waiter that gets no place", () => {
  it.effect("does not try to join again, however often others are faster", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const [a, b] = [yield* aProcess("a"), yield* aProcess("b")]
      let joins = 0
      const { semaphore } = yield* servicesOver(
        {
          ...b.store,
          compareAndSwap: (which, write) => {
            if ("stamps" in write) joins++
            return b.store.compareAndSwap(which, write)
          }
        },
        "b"
      )
      const holder = yield* wants(a.semaphore.take(id, { limit: 1 }))
      b.faults.push(["write", full], ["write", "Conflicts"], ["write", "Conflicts"])
      const lines = yield* logged(
        Effect.gen(function* () {
          const waiter = yield* wants(semaphore.take(id, { limit: 1, waitSchedule }))
          yield* TestClock.adjust("1 second")
          yield* holder.letGo
          yield* TestClock.adjust("1 second")
          assert.isTrue(waiter.has())
          yield* waiter.letGo
        })
      )
      assert.deepStrictEqual([joins, lines.length, b.faults.length], [1, 1, 0])
    }).pipe(Effect.scoped)
  )
})

describe("a rule that begins to refuse what waiters write", () => {
  const waits = Effect.fnUntraced(function* (polls: number) {
    const { aProcess } = yield* setUp
    const [a, b] = [yield* aProcess("a"), yield* aProcess("b")]
    const holder = yield* wants(a.semaphore.take(id, { limit: 1 }))
    const schedule = LockPolicy.fixedPolls("1 second", polls)
    const waiter = yield* wants(b.semaphore.take(id, { limit: 1, waitSchedule: schedule }))
    b.requests.length = 0
    b.faults.push(...Array.from({ length: 1000 }, () => ["write", denied] as const))
    return { b, holder, waiter }
  })

  it.effect(
    "costs them no more than two requests at each step of their wait schedules, and their place not at once",
    () =>
      Effect.gen(function* () {
        const lines = yield* logged(
          Effect.gen(function* () {
            const { b, holder, waiter } = yield* waits(100)
            yield* TestClock.adjust("8 seconds")
            assert.isAtMost(b.requests.length, 2 * 8)
            assert.isAtLeast(b.requests.length, 2)
            b.faults.length = 0
            yield* TestClock.adjust("5 seconds")
            yield* holder.letGo
            assert.isTrue(waiter.has())
            yield* waiter.letGo
          })
        )
        assert.lengthOf(lines, 1)
        assert.match(lines[0]!, /^Warn Waits for .* without a place in the queue\. Not allowed to patch gate: no\./)
      }).pipe(Effect.scoped)
  )

  it.effect("is what they say when their wait schedules have ended", () =>
    Effect.gen(function* () {
      const { holder, waiter } = yield* waits(8)
      yield* TestClock.adjust("15 seconds")
      assert.strictEqual(yield* Effect.flip(Fiber.join(waiter.fiber)), denied)
      yield* holder.letGo
    }).pipe(Effect.provide(Logger.layer([])), Effect.scoped)
  )
})
