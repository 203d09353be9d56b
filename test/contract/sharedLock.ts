/** How shared locks behave on any store, with live clocks. */
import { assert, type Vitest } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as LockPolicy from "../../src/LockPolicy.ts"
import type { ObjectStore } from "../../src/ObjectStore.ts"
import * as Semaphore from "../../src/Semaphore.ts"
import * as SharedLock from "../../src/SharedLock.ts"
import { annotationsOf, anObject, type World } from "../utils/World.ts"

/** A long wait, and a lease that is renewed often. */
const patient = { waitSchedule: LockPolicy.fixedPolls("20 millis", 3000), renewEvery: "200 millis" } as const

/** Another process. It ends with the scope of the caller. */
const aProcess = (identity: string) => SharedLock.make({ identity })

/** Begins to take the lock, in a scope of its own. */
const wants = <A, E>(take: Effect.Effect<A, E, Scope.Scope>) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const fiber = yield* take.pipe(Scope.provide(scope), Effect.forkChild({ startImmediately: true }))
    return {
      has: Effect.sync(() => fiber.pollUnsafe() !== undefined),
      had: Effect.timeout(Fiber.join(fiber), "30 seconds"),
      letGo: Scope.close(scope, Exit.void)
    }
  })

const waiting = (id: string, holders: number, waiters: number) =>
  SharedLock.inspect(id).pipe(
    Effect.repeat({ until: (line) => line.holders.length === holders && line.waiters.length === waiters }),
    Effect.timeout("30 seconds")
  )

/** Declares the suite. `it` is that of a layer that provides `World | ObjectStore | SharedLock`, on live clocks. */
export const sharedLock = (it: Vitest.MethodsNonLive<World | ObjectStore | SharedLock.SharedLock>) => {
  it.effect("readers share it, a writer has it alone, and nothing stays on the object", () =>
    Effect.gen(function* () {
      const id = yield* anObject({ "example.com/other": "o" })
      const [a, b] = [yield* aProcess("a"), yield* aProcess("b")]
      yield* Effect.gen(function* () {
        const first = yield* a.shared(id, patient)
        yield* b.shared(id, patient)
        assert.isTrue(yield* first.isValid)
        const { holders } = yield* SharedLock.inspect(id)
        assert.deepStrictEqual(
          holders.map(({ mode }) => mode),
          ["shared", "shared"]
        )
        assert.strictEqual((yield* Effect.flip(b.tryExclusive(id)))._tag, "LockConflict")
      }).pipe(Effect.scoped)
      yield* Effect.gen(function* () {
        yield* a.exclusive(id, patient)
        assert.strictEqual((yield* SharedLock.inspect(id)).holders[0]!.mode, "exclusive")
        assert.strictEqual((yield* Effect.flip(b.tryShared(id)))._tag, "LockConflict")
        assert.strictEqual((yield* Effect.flip(b.tryExclusive(id)))._tag, "LockConflict")
      }).pipe(Effect.scoped)
      assert.deepStrictEqual({ ...(yield* annotationsOf(id)) }, { "example.com/other": "o" })
    }).pipe(Effect.scoped)
  )

  it.effect("no writer is beside anybody, and no increment is lost", () =>
    Effect.gen(function* () {
      const id = yield* anObject()
      let readers = 0
      let writers = 0
      let value = 0
      const read = Effect.gen(function* () {
        assert.strictEqual(writers, 0)
        readers++
        yield* Effect.sleep("3 millis")
        readers--
      })
      const write = Effect.gen(function* () {
        assert.strictEqual(readers + writers, 0)
        writers++
        const before = value
        yield* Effect.sleep("3 millis")
        value = before + 1
        writers--
      })
      yield* Effect.forEach(
        [0, 1, 2, 3, 4, 5],
        (index) =>
          Effect.gen(function* () {
            const process = yield* aProcess(`p${index}`)
            for (let round = 0; round < 3; round++) {
              const isWriter = (index + round) % 3 === 0
              yield* Effect.scoped(
                isWriter
                  ? Effect.flatMap(process.exclusive(id, patient), (held) => held.guard(write))
                  : Effect.flatMap(process.shared(id, patient), (held) => held.guard(read))
              )
            }
          }).pipe(Effect.scoped),
        { concurrency: "unbounded", discard: true }
      )
      assert.strictEqual(value, 6)
    })
  )

  it.effect("a writer that waits holds back the readers behind it, and they enter together", () =>
    Effect.gen(function* () {
      const id = yield* anObject()
      const reader = yield* wants((yield* aProcess("reader")).shared(id, patient))
      yield* reader.had
      const writer = yield* wants((yield* aProcess("writer")).exclusive(id, patient))
      yield* waiting(id, 1, 1)
      const late = yield* Effect.forEach(["x", "y", "z"], (name) =>
        Effect.flatMap(aProcess(name), (process) => wants(process.shared(id, patient)))
      )
      yield* waiting(id, 1, 4)
      assert.strictEqual((yield* Effect.flip((yield* aProcess("fresh")).tryShared(id)))._tag, "LockConflict")
      yield* reader.letGo
      const written = yield* writer.had
      for (const each of late) assert.isFalse(yield* each.has)
      yield* writer.letGo
      for (const each of late) assert.isTrue((yield* each.had).fencingToken > written.fencingToken)
      assert.lengthOf((yield* SharedLock.inspect(id)).holders, 3)
      for (const each of late) yield* each.letGo
    }).pipe(Effect.scoped)
  )

  it.effect("readers of one process share one lease", () =>
    Effect.gen(function* () {
      const id = yield* anObject()
      const process = yield* aProcess("p")
      yield* process.shared(id, patient)
      yield* process.shared(id, patient)
      assert.lengthOf((yield* SharedLock.inspect(id)).holders, 1)
    }).pipe(Effect.scoped)
  )

  it.effect("a writer becomes a reader without a gap, and the readers behind it enter", () =>
    Effect.gen(function* () {
      const id = yield* anObject()
      const [a, b, c] = [yield* aProcess("a"), yield* aProcess("b"), yield* aProcess("c")]
      yield* Effect.gen(function* () {
        const held = yield* a.exclusive(id, patient)
        const reader = yield* wants(b.shared(id, patient))
        yield* waiting(id, 1, 1)
        const writer = yield* wants(c.exclusive(id, patient))
        yield* waiting(id, 1, 2)
        yield* held.downgrade
        yield* reader.had
        assert.isFalse(yield* writer.has)
        assert.isTrue(yield* held.isValid)
        yield* reader.letGo
        assert.isFalse(yield* writer.has)
        return writer
      }).pipe(
        Effect.scoped,
        Effect.flatMap((writer) => Effect.andThen(writer.had, writer.letGo))
      )
    }).pipe(Effect.scoped)
  )

  it.effect("a reader becomes a writer if it is alone, with a larger token, and not otherwise", () =>
    Effect.gen(function* () {
      const id = yield* anObject()
      const [a, b] = [yield* aProcess("a"), yield* aProcess("b")]
      const held = yield* a.shared(id, patient)
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* b.shared(id, patient)
          assert.isTrue(Option.isNone(yield* held.tryUpgrade))
        })
      )
      const upgraded = Option.getOrThrow(yield* held.tryUpgrade)
      assert.isTrue(upgraded.fencingToken > held.fencingToken)
      assert.strictEqual((yield* Effect.flip(b.tryShared(id)))._tag, "LockConflict")
      yield* upgraded.downgrade
      yield* Effect.scoped(b.shared(id, patient))
    }).pipe(Effect.scoped)
  )

  it.effect("a reader that joins a writer of its process which has downgraded has a larger token", () =>
    Effect.gen(function* () {
      const id = yield* anObject()
      const a = yield* aProcess("a")
      const upgraded = Option.getOrThrow(yield* (yield* a.shared(id, patient)).tryUpgrade)
      yield* upgraded.downgrade
      const joined = yield* a.shared(id, patient)
      assert.isTrue(joined.fencingToken > upgraded.fencingToken)
    }).pipe(Effect.scoped)
  )

  it.effect("an operator breaks one hold", () =>
    Effect.gen(function* () {
      const id = yield* anObject()
      const held = yield* (yield* aProcess("holder")).exclusive(id, patient)
      const next = yield* wants((yield* aProcess("next")).shared(id, patient))
      yield* waiting(id, 1, 1)
      assert.isTrue(yield* SharedLock.break(id, held.holderId))
      yield* next.had
      assert.strictEqual((yield* Effect.flip(held.lost))._tag, "LockLost")
      yield* next.letGo
    }).pipe(Effect.scoped)
  )

  it.effect("is refused on a semaphore in use, and the reverse", () =>
    Effect.gen(function* () {
      const id = yield* anObject()
      const process = yield* aProcess("p")
      const semaphore = yield* Semaphore.make()
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* semaphore.take(id, { limit: 2 })
          assert.deepInclude(yield* Effect.flip(process.shared(id)), {
            _tag: "LockMismatch",
            found: "a semaphore of 2 permits",
            wanted: "a shared lock"
          })
        })
      )
      yield* process.shared(id)
      assert.deepInclude(yield* Effect.flip(semaphore.take(id, { limit: 2 })), {
        _tag: "LockMismatch",
        found: "a shared lock"
      })
    }).pipe(Effect.scoped)
  )
}
