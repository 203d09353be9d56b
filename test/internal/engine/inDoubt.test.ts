/** What a holder can rely on after a commit that may or may not have been applied, and what it hears. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import type { Held } from "../../../src/Held.ts"
import * as LockError from "../../../src/LockError.ts"
import { id, setUp } from "../../utils/processes.ts"

const content = [{ path: ["written"], value: "by us" }] as const

const forbidden = new LockError.Forbidden({ object: id, verb: "patch", status: 403, detail: "no" })
const overloaded = new LockError.Unavailable({ object: id, verb: "patch", status: 429, detail: "busy" })
const rejected = new LockError.Rejected({ object: id, verb: "patch", status: 422, detail: "Invalid" })

/** Starts a commit. */
const commits = (held: Held) =>
  Effect.forkChild(Effect.exit(held.commitAndRelease(content)), { startImmediately: true })

/** A process that has the lock. */
const setUpHeld = Effect.gen(function* () {
  const world = yield* setUp
  const us = yield* world.aProcess("us")
  return { ...world, us, held: yield* (yield* us.wants()).held }
})

describe("after a commit", () => {
  for (const error of [rejected, new LockError.InvalidName({ id, problem: "no" })]) {
    it.effect(`whose answer was lost, a permanent error (${error._tag}) leaves the lock in doubt`, () =>
      Effect.gen(function* () {
        const { aProcess, held, us } = yield* setUpHeld
        const them = yield* aProcess("them")
        us.faults.push(["write", "Lost"], ["write", error], ["read", error])
        const commit = yield* commits(held)
        yield* TestClock.adjust("1 second")
        assert.isTrue(Exit.isFailure(yield* Fiber.join(commit)))
        const theirs = yield* them.lock.tryScoped(id)
        assert.isTrue(yield* theirs.isValid)
        assert.isFalse(yield* held.isValid)
        assert.isTrue(Exit.isFailure(yield* Effect.exit(held.guard(Effect.void))))
      }).pipe(Effect.scoped)
    )
  }

  it.effect("whose answer was lost, a read after a permanent error finds that it was applied", () =>
    Effect.gen(function* () {
      const { held, us } = yield* setUpHeld
      us.faults.push(["write", "Lost"], ["write", rejected])
      const commit = yield* Effect.forkChild(held.commitAndRelease(content), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(commit)
    }).pipe(Effect.scoped)
  )

  it.effect("that was never applied, a renewal proves that the lock is still ours", () =>
    Effect.gen(function* () {
      const { held, us } = yield* setUpHeld
      us.faults.push(["write", "Refused"], ["write", rejected], ["read", rejected])
      const commit = yield* commits(held)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(commit)
      assert.isFalse(yield* held.isValid)
      yield* TestClock.adjust("4 seconds")
      assert.isTrue(yield* held.isValid)
      assert.strictEqual(yield* held.guard(Effect.succeed(1)), 1)
    }).pipe(Effect.scoped)
  )

  it.effect("that was applied without an answer, a renewal finds that the lock is gone", () =>
    Effect.gen(function* () {
      const { aProcess, held, us } = yield* setUpHeld
      const them = yield* aProcess("them")
      us.faults.push(["write", "Lost"], ["write", rejected], ["read", rejected])
      const guarded = yield* Effect.forkChild(Effect.exit(held.guard(Effect.never)), { startImmediately: true })
      const commit = yield* commits(held)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(commit)
      yield* them.wants()
      yield* TestClock.adjust("4 seconds")
      assert.isTrue(Exit.isFailure(yield* Fiber.join(guarded)))
      assert.strictEqual((yield* Effect.flip(held.lost))._tag, "LockLost")
    }).pipe(Effect.scoped)
  )

  it.effect("that was applied without an answer, a read that finds another holder tells the loss at once", () =>
    Effect.gen(function* () {
      const { aProcess, held, us } = yield* setUpHeld
      const them = yield* aProcess("them")
      const others = yield* aProcess("others")
      const guarded = yield* Effect.forkChild(Effect.exit(held.guard(Effect.never)), { startImmediately: true })
      us.faults.push(["write", "Lost"], ["write", overloaded])
      const commit = yield* Effect.forkChild(Effect.flip(held.commitAndRelease(content)), { startImmediately: true })
      yield* TestClock.adjust("10 millis")
      const theirs = yield* them.lock.tryScoped(id)
      yield* theirs.commitAndRelease([{ path: ["written"], value: "by them" }])
      yield* others.lock.tryScoped(id)
      yield* TestClock.adjust("100 millis")
      assert.strictEqual((yield* Fiber.join(commit))._tag, "LockUnavailable")
      assert.deepInclude(yield* Effect.flip(held.lost), { _tag: "LockLost", reason: "TakenOver" })
      assert.isTrue(Exit.isFailure(yield* Fiber.join(guarded)))
    }).pipe(Effect.scoped)
  )

  it.effect("during which the lease ran out, the loss is reported", () =>
    Effect.gen(function* () {
      const { aProcess, held, us } = yield* setUpHeld
      const them = yield* aProcess("them")
      for (let i = 0; i < 40; i++) us.faults.push(["write", "Refused"])
      const guarded = yield* Effect.forkChild(Effect.exit(held.guard(Effect.never)), { startImmediately: true })
      const commit = yield* commits(held)
      yield* TestClock.adjust("12 seconds")
      const theirs = yield* them.wants()
      us.faults.length = 0
      us.faults.push(["write", forbidden], ["write", forbidden])
      yield* TestClock.adjust("10 seconds")
      assert.isTrue(yield* theirs.has)
      assert.isTrue(Exit.isFailure(yield* Fiber.join(commit)))
      assert.isFalse(yield* held.isValid)
      assert.strictEqual((yield* Effect.flip(held.lost))._tag, "LockLost")
      assert.isTrue(Exit.isFailure(yield* Fiber.join(guarded)))
    }).pipe(Effect.scoped)
  )

  it.effect("that may still be applied, a renewal that was sent before proves nothing", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      let isSlow = false
      const us = yield* world.aProcess("us", { ttl: "10 seconds", renewEvery: "500 millis" }, (store) => ({
        ...store,
        compareAndSwap: (id, write) =>
          "content" in write || !isSlow
            ? store.compareAndSwap(id, write)
            : Effect.delay(store.compareAndSwap(id, write), "3 seconds")
      }))
      yield* TestClock.adjust("100 millis")
      const held = yield* (yield* us.wants()).held
      isSlow = true
      yield* TestClock.adjust("600 millis")
      us.faults.push(["write", "Refused"], ["write", rejected], ["read", rejected])
      const commit = yield* commits(held)
      yield* TestClock.adjust("100 millis")
      assert.isTrue(Exit.isFailure(yield* Fiber.join(commit)))
      const before = yield* world.annotations
      yield* TestClock.adjust("2900 millis")
      // What the commit expects stands as it did.
      assert.deepStrictEqual(yield* world.annotations, before)
      assert.isFalse(yield* held.isValid)
      yield* TestClock.adjust("3 seconds")
      assert.notDeepEqual(yield* world.annotations, before)
      assert.isTrue(yield* held.isValid)
    }).pipe(Effect.scoped)
  )

  it.effect(
    "that may still be applied, a reading that finds the lock in place proves nothing, and a renewal writes another lease",
    () =>
      Effect.gen(function* () {
        const world = yield* setUp
        const us = yield* world.aProcess("us", { ttl: "10 seconds", renewEvery: "500 millis" })
        yield* TestClock.adjust("100 millis")
        const held = yield* (yield* us.wants()).held
        const before = yield* world.annotations
        us.faults.push(["write", "Refused"], ["write", rejected], ["read", rejected], ["write", "Conflicts"])
        const commit = yield* commits(held)
        yield* TestClock.adjust("50 millis")
        assert.isTrue(Exit.isFailure(yield* Fiber.join(commit)))
        yield* TestClock.adjust("480 millis")
        assert.deepStrictEqual(us.faults, [])
        assert.isFalse(yield* held.isValid)
        yield* TestClock.adjust("200 millis")
        assert.isTrue(yield* held.isValid)
        assert.notDeepEqual(yield* world.annotations, before)
      }).pipe(Effect.scoped)
  )

  it.effect("whose answer was lost, a second one that finds the lock gone does not say that nothing was written", () =>
    Effect.gen(function* () {
      const { aProcess, held, us } = yield* setUpHeld
      const them = yield* aProcess("them")
      us.faults.push(["write", "Lost"], ["write", rejected], ["read", rejected])
      const first = yield* commits(held)
      yield* TestClock.adjust("100 millis")
      yield* Fiber.join(first)
      yield* (yield* them.lock.tryScoped(id)).commitAndRelease([{ path: ["written"], value: "by them" }])
      const error = yield* Effect.flip(held.commitAndRelease([{ path: ["written"], value: "by us again" }]))
      assert.strictEqual(error._tag, "LockUnavailable")
      assert.isFalse(yield* held.isValid)
    }).pipe(Effect.scoped)
  )

  it.effect("during which the lease ran out, the loss is reported, although the server answers nothing else", () =>
    Effect.gen(function* () {
      const { held, us } = yield* setUpHeld
      const lost = yield* Effect.forkChild(Effect.exit(held.lost), { startImmediately: true })
      for (let i = 0; i < 100; i++) us.faults.push(["write", "Refused"])
      const commit = yield* commits(held)
      yield* TestClock.adjust("12 seconds")
      assert.isUndefined(commit.pollUnsafe())
      us.faults.length = 0
      us.faults.push(["write", rejected], ["read", rejected])
      yield* TestClock.adjust("2 seconds")
      assert.isDefined(commit.pollUnsafe())
      const told = lost.pollUnsafe()
      assert.isDefined(told)
      assert.deepInclude(yield* Effect.flip(held.lost), { _tag: "LockLost", reason: "Expired" })
    }).pipe(Effect.scoped)
  )

  it.effect("within a guard, the guard succeeds", () =>
    Effect.gen(function* () {
      const { held } = yield* setUpHeld
      assert.strictEqual(yield* held.guard(Effect.as(held.commitAndRelease(content), "done")), "done")
    }).pipe(Effect.scoped)
  )

  it.effect("a second commit fails, and no loss is reported", () =>
    Effect.gen(function* () {
      const { held } = yield* setUpHeld
      const lost = yield* Effect.forkChild(Effect.flip(held.lost), { startImmediately: true })
      yield* held.commitAndRelease(content)
      const error = yield* Effect.flip(held.commitAndRelease(content))
      assert.deepInclude(error, { _tag: "LockLost", reason: "Released" })
      assert.isUndefined(lost.pollUnsafe())
    }).pipe(Effect.scoped)
  )
})

describe("a lock that was handed over, with a TTL of a minute", () => {
  const handedOver = Effect.gen(function* () {
    const world = yield* setUp
    const us = yield* world.aProcess("us", { ttl: "1 minute" })
    const them = yield* world.aProcess("them", { ttl: "1 minute" })
    const theirs = yield* them.wants()
    const ours = yield* us.wants()
    yield* TestClock.adjust("100 millis")
    yield* theirs.letGo
    yield* TestClock.adjust("100 millis")
    return { us, held: yield* ours.held }
  })

  for (const [what, fault] of [
    ["is refused", "Refused"],
    ["is applied, and its answer is lost", "Lost"],
    ["meets an overloaded server", overloaded]
  ] as const) {
    it.effect(`survives a first renewal that ${what}`, () =>
      Effect.gen(function* () {
        const { held, us } = yield* handedOver
        us.faults.push(["write", fault])
        yield* TestClock.adjust("2 minutes")
        assert.isTrue(yield* held.isValid)
      }).pipe(Effect.scoped)
    )
  }
})
