import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import type { Held } from "../src/Held.ts"
import * as Lock from "../src/Lock.ts"
import * as LockError from "../src/LockError.ts"
import * as ObjectStoreMemory from "../src/ObjectStoreMemory.ts"
import * as Semaphore from "../src/Semaphore.ts"
import * as Several from "../src/Several.ts"
import * as SharedLock from "../src/SharedLock.ts"

const layers = Layer.mergeAll(Lock.layer(), Semaphore.layer(), SharedLock.layer()).pipe(
  Layer.provideMerge(ObjectStoreMemory.layer())
)

describe("Several.scopedAll", () => {
  it.effect("acquires locks, permits and shared locks, and answers in the order of its parts", () =>
    Effect.gen(function* () {
      yield* Effect.gen(function* () {
        const [locked, permit, writer, reader] = yield* Several.scopedAll([
          Several.lock("d"),
          Several.permits("c", { limit: 2 }),
          Several.exclusive("b"),
          Several.shared("a")
        ])
        assert.deepStrictEqual([locked.id, permit.id, writer.id, reader.id], ["d", "c", "b", "a"])
        assert.strictEqual(permit.permits, 1)
        assert.lengthOf((yield* SharedLock.inspect("b")).holders, 1)
      }).pipe(Effect.scoped)
      assert.deepStrictEqual(yield* Lock.inspect("d"), { _tag: "Free" })
      assert.deepStrictEqual((yield* Semaphore.inspect("c")).holders, [])
      assert.deepStrictEqual((yield* SharedLock.inspect("a")).holders, [])
    }).pipe(Effect.provide(layers))
  )

  it.effect("holds none if one cannot be had", () =>
    Effect.gen(function* () {
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* Semaphore.take("z", { limit: 3 })
          const parts = [Several.lock("a"), Several.permits("z", { limit: 2 })] as const
          // Although the scope goes on.
          const error = yield* Effect.flip(Several.scopedAll(parts))
          assert.strictEqual(error._tag, "LockMismatch")
          assert.deepStrictEqual(yield* Lock.inspect("a"), { _tag: "Free" })
        })
      )
    }).pipe(Effect.provide(layers))
  )

  it.effect("acquires in one order, however they are named", () =>
    Effect.gen(function* () {
      const order: Array<string> = []
      const noted = <H, R>({ acquire, id }: Several.Part<H, R>): Several.Part<H, R> => ({
        id,
        acquire: Effect.andThen(
          Effect.sync(() => order.push(id)),
          acquire
        )
      })
      const parts = [noted(Several.lock("b")), noted(Several.shared("c")), noted(Several.permits("a", { limit: 1 }))]
      yield* Effect.scoped(Several.scopedAll(parts as ReadonlyArray<(typeof parts)[number]>))
      assert.deepStrictEqual(order, ["a", "b", "c"])
    }).pipe(Effect.provide(layers))
  )

  const parts = [Several.permits("a", { limit: 1 }), Several.shared("b"), Several.lock("c")] as const

  // All but the last can be had.
  const waits = Effect.gen(function* () {
    const scope = yield* Scope.make()
    yield* Scope.provide(Lock.scoped("c"), scope)
    const waiting = yield* Effect.forkChild(Effect.exit(Effect.scoped(Several.scopedAll(parts))))
    for (let millis = 0; millis < 10; millis++) yield* TestClock.adjust(1)
    const [holder] = (yield* Semaphore.inspect("a")).holders
    assert.isDefined(holder)
    assert.lengthOf((yield* SharedLock.inspect("b")).holders, 1)
    return { waiting, holderId: holder!.holder, ends: Scope.close(scope, Exit.void) }
  })

  const holdsNone = Effect.gen(function* () {
    assert.deepStrictEqual((yield* Semaphore.inspect("a")).holders, [])
    assert.deepStrictEqual((yield* SharedLock.inspect("b")).holders, [])
    assert.deepStrictEqual(yield* Lock.inspect("c"), { _tag: "Free" })
  })

  it.effect("fails, and holds none, if one is lost while it waits for another", () =>
    Effect.gen(function* () {
      const { ends, holderId, waiting } = yield* waits
      assert.isTrue(yield* Semaphore.break("a", holderId))
      yield* TestClock.adjust("4 seconds")
      const exit = yield* Fiber.join(waiting)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasFails(exit.cause))
      assert.deepInclude(Cause.squash((exit as Exit.Failure<never, unknown>).cause), { _tag: "LockLost", id: "a" })
      yield* ends
      yield* TestClock.adjust("1 second")
      yield* holdsNone
    }).pipe(Effect.provide(layers))
  )

  it.effect("fails if the last one is lost by the time that it comes", () =>
    Effect.gen(function* () {
      const lost = new LockError.Lost({ id: "b", object: "b", reason: "Expired", heldFor: Duration.zero })
      const gone: Pick<Held, "guard"> = { guard: () => Effect.fail(lost) }
      const parts = [Several.lock("a"), { id: "b", acquire: Effect.succeed(gone) }] as const
      assert.strictEqual(yield* Effect.flip(Effect.scoped(Several.scopedAll(parts))), lost)
      assert.deepStrictEqual(yield* Lock.inspect("a"), { _tag: "Free" })
    }).pipe(Effect.provide(layers))
  )

  it.effect("holds none if it is interrupted while it waits", () =>
    Effect.gen(function* () {
      const { ends, waiting } = yield* waits
      yield* Fiber.interrupt(waiting)
      yield* ends
      yield* TestClock.adjust("1 second")
      yield* holdsNone
    }).pipe(Effect.provide(layers))
  )

  it.effect("dies if an id is named twice, in the effect and not where it is made", () =>
    Effect.gen(function* () {
      const twice = Several.scopedAll([Several.shared("a"), Several.exclusive("a")])
      const exit = yield* Effect.exit(Effect.scoped(twice))
      assert.isTrue(Exit.hasDies(exit))
      assert.match(String(exit), /"a" is named twice/)
      assert.deepStrictEqual((yield* SharedLock.inspect("a")).holders, [])
    }).pipe(Effect.provide(layers))
  )
})
