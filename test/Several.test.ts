import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Lock from "../src/Lock.ts"
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
          const error = yield* Effect.flip(Effect.scoped(Several.scopedAll(parts)))
          assert.strictEqual(error._tag, "LockMismatch")
          assert.deepStrictEqual(yield* Lock.inspect("a"), { _tag: "Free" })
        })
      )
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
