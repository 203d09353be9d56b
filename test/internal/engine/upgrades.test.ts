/** Readers that become writers, while other fibers of their process do something with the same lease. In virtual time. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scheduler from "effect/Scheduler"
import * as TestClock from "effect/testing/TestClock"
import { ObjectStore } from "../../../src/ObjectStore.ts"
import { patience } from "../../../src/internal/engine/permitPool.ts"
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

  it.effect("is refused while a writer of the process waits, which comes in next", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const us = yield* aProcess("us")
      const reader = yield* wants(us.shared.shared(id))
      const writer = yield* wants(us.shared.exclusive(id, { waitSchedule }))
      assert.isTrue(Option.isNone(yield* (yield* Fiber.join(reader.fiber)).tryUpgrade))
      yield* reader.letGo
      yield* TestClock.adjust(100)
      assert.isTrue(writer.has())
      yield* writer.letGo
    }).pipe(Effect.scoped)
  )

  it.effect("is refused while a writer of the process is about to join the line", () =>
    Effect.gen(function* () {
      const { memory } = yield* setUp
      const { compareAndSwap } = memory.store
      const { shared } = yield* servicesOver(
        ObjectStore.of({
          ...memory.store,
          compareAndSwap: (which, write) =>
            "stamps" in write ? Effect.delay(compareAndSwap(which, write), "500 millis") : compareAndSwap(which, write)
        }),
        "us"
      )
      const reader = yield* wants(shared.shared(id))
      const writer = yield* wants(shared.exclusive(id, { waitSchedule }))
      // It does not wait for its process any longer, and its join is under way.
      yield* TestClock.adjust(patience + 200)
      const { tryUpgrade } = yield* Fiber.join(reader.fiber)
      assert.isTrue(Option.isNone(yield* tryUpgrade))
      yield* TestClock.adjust("500 millis")
      assert.deepInclude((yield* shared.inspect(id)).waiters[0], { mode: "exclusive" })
      yield* reader.letGo
      yield* TestClock.adjust("500 millis")
      assert.isTrue(writer.has())
      yield* writer.letGo
    }).pipe(Effect.scoped)
  )
})

describe("an upgrade without an answer", () => {
  const readersOfOthers = Effect.gen(function* () {
    const { aProcess } = yield* setUp
    const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
    const reader = yield* wants(us.shared.shared(id))
    const held = yield* Fiber.join(reader.fiber)
    return { us, held, reader, tries: wants(them.shared.tryShared(id)) }
  })

  it.effect("that was applied keeps no readers out: the reader finds it out, and takes it back", () =>
    Effect.gen(function* () {
      const { held, reader, tries, us } = yield* readersOfOthers
      us.faults.push(["write", "Lost"])
      assert.strictEqual((yield* Effect.flip(held.tryUpgrade))._tag, "LockUnavailable")
      yield* TestClock.adjust(10)
      const beside = yield* tries
      assert.isTrue(beside.has())
      assert.isTrue(yield* held.isValid)
      for (const { letGo } of [beside, reader]) yield* letGo
    }).pipe(Effect.scoped)
  )

  it.effect("is found out also if the server gives no answer to that either, for a while", () =>
    Effect.gen(function* () {
      const { held, reader, tries, us } = yield* readersOfOthers
      us.faults.push(["write", "Lost"])
      const asking = yield* Effect.forkChild(Effect.flip(held.tryUpgrade), { startImmediately: true })
      us.faults.push(...Array.from({ length: 3 }, () => ["write", "Refused"] as const))
      assert.strictEqual((yield* Fiber.join(asking))._tag, "LockUnavailable")
      yield* TestClock.adjust("2500 millis")
      assert.isFalse((yield* tries).has(), "the server answers already")
      yield* TestClock.adjust("5 seconds")
      const beside = yield* tries
      assert.isTrue(beside.has())
      assert.isTrue(yield* held.isValid)
      const before = us.requests.length
      yield* TestClock.adjust("10 seconds")
      // Renewals only.
      assert.isAtMost(us.requests.length - before, 4)
      for (const { letGo } of [beside, reader]) yield* letGo
    }).pipe(Effect.scoped)
  )

  it.effect("that was not applied leaves everything as it was: another reader of the process comes in beside it", () =>
    Effect.gen(function* () {
      const { held, reader, us } = yield* readersOfOthers
      us.faults.push(["write", "Refused"])
      assert.strictEqual((yield* Effect.flip(held.tryUpgrade))._tag, "LockUnavailable")
      yield* TestClock.adjust(10)
      const beside = yield* wants(us.shared.tryShared(id))
      assert.isTrue(beside.has())
      assert.lengthOf((yield* us.shared.inspect(id)).holders, 1)
      for (const { letGo } of [beside, reader]) yield* letGo
    }).pipe(Effect.scoped)
  )

  it.effect("may be tried again at once, and lets no other reader of the process in meanwhile", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const us = yield* aProcess("us")
      const { shared } = yield* servicesOver(
        ObjectStore.of({
          ...us.store,
          compareAndSwap: (...write) => Effect.delay(us.store.compareAndSwap(...write), 100)
        }),
        "us"
      )
      const reader = yield* wants(shared.shared(id))
      yield* TestClock.adjust(100)
      const { tryUpgrade } = yield* Fiber.join(reader.fiber)
      us.faults.push(["write", "Lost"])
      const first = yield* Effect.forkChild(Effect.flip(tryUpgrade))
      yield* TestClock.adjust(101)
      yield* Fiber.join(first)
      // It is known that the permits were taken, and they are being given back.
      yield* TestClock.adjust(150)
      const second = yield* Effect.forkChild(tryUpgrade)
      yield* TestClock.adjust(80)
      const beside = yield* wants(shared.shared(id, { waitSchedule }))
      yield* TestClock.adjust(200)
      assert.isTrue(Option.isSome(yield* Fiber.join(second)))
      assert.isFalse(beside.has(), "a reader beside a writer")
      yield* Effect.forkChild(reader.letGo)
      yield* TestClock.adjust("1 second")
      assert.isTrue(beside.has())
      yield* Effect.forkChild(beside.letGo)
      yield* TestClock.adjust("1 second")
    }).pipe(Effect.scoped)
  )
})

describe("a reader that leaves while it is upgraded", () => {
  it.effect("keeps no readers of others out if another reader of the process takes its place", () =>
    Effect.gen(function* () {
      const { aProcess, memory } = yield* setUp
      const { compareAndSwap } = memory.store
      const { shared } = yield* servicesOver(
        ObjectStore.of({ ...memory.store, compareAndSwap: (...write) => Effect.delay(compareAndSwap(...write), 300) }),
        "us"
      )
      const reader = yield* wants(
        Effect.tap(shared.shared(id), (held) => Effect.forkDetach(held.tryUpgrade, { startImmediately: true }))
      )
      yield* TestClock.adjust(310)
      // The first that comes asks the API server, and the other one waits for it.
      const asks = yield* wants(shared.shared(id, { waitSchedule }))
      const next = yield* wants(shared.shared(id, { waitSchedule }))
      assert.isFalse(next.has())
      yield* reader.letGo
      assert.isTrue(next.has())
      yield* TestClock.adjust("3 seconds")
      assert.isTrue(asks.has())
      const other = yield* wants((yield* aProcess("them")).shared.tryShared(id))
      assert.isTrue(other.has())
      yield* other.letGo
      for (const { letGo } of [next, asks]) yield* Effect.forkChild(letGo)
      yield* TestClock.adjust("1 second")
    }).pipe(Effect.scoped)
  )
})
