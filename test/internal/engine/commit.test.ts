/** A commit whose object changes under it, and whose server answers this and that. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import * as LockError from "../../../src/LockError.ts"
import type { FieldPatch } from "../../../src/ObjectStore.ts"
import { patience } from "../../../src/internal/engine/commit.ts"
import { id, setUp } from "../../utils/processes.ts"

const unauthorized = new LockError.Unauthorized({ object: id, detail: "the server answered 401" })
const forbidden = new LockError.Forbidden({ object: id, verb: "patch", status: 403, detail: "no" })
const notFound = (missing: LockError.NotFound["missing"]) => new LockError.NotFound({ id, object: id, missing })
const rejected = new LockError.Rejected({ object: id, verb: "patch", status: 422, detail: "Invalid" })

/** A holder, and a stranger who sets fields of the locked object, or removes them. */
const setUpHolder = Effect.gen(function* () {
  const world = yield* setUp
  const us = yield* world.aProcess("us")
  const stranger = (...content: ReadonlyArray<FieldPatch>) =>
    us.sound.compareAndSwap(id, { expect: { annotations: { "example.com/other": "o" } }, annotations: {}, content })
  const content = Effect.map(us.sound.read(id), ({ content }) => content)
  return { ...world, us, stranger, content, take: Effect.flatMap(us.wants(), ({ held }) => held) }
})

/** Runs a commit to its end, for the longest time that it may take. */
const run = <A, E>(commit: Effect.Effect<A, E>) =>
  Effect.flatMap(Effect.forkChild(Effect.exit(commit), { startImmediately: true }), (fiber) =>
    Effect.andThen(TestClock.adjust(Duration.sum(patience, Duration.seconds(2))), Fiber.join(fiber))
  )

const value: FieldPatch = { path: ["data", "value"], value: "new" }

describe("a commit", () => {
  it.effect("keeps what was added to a field that was missing when the lock was acquired", () =>
    Effect.gen(function* () {
      const { content, stranger, take } = yield* setUpHolder
      const held = yield* take
      yield* stranger({ path: ["data"], value: { other: "theirs" } })
      assert.isTrue(Exit.isSuccess(yield* run(held.commitAndRelease([value]))))
      assert.deepStrictEqual(yield* content, { data: { other: "theirs", value: "new" } })
    }).pipe(Effect.scoped)
  )

  it.effect("makes a field again that was removed since the lock was acquired", () =>
    Effect.gen(function* () {
      const { content, stranger, take } = yield* setUpHolder
      yield* stranger({ path: ["data"], value: { value: "old" } })
      const held = yield* take
      yield* stranger({ path: ["data"], value: null })
      assert.isTrue(Exit.isSuccess(yield* run(held.commitAndRelease([value]))))
      assert.deepStrictEqual(yield* content, { data: { value: "new" } })
    }).pipe(Effect.scoped)
  )

  it.effect("makes what is missing at any depth, and overwrites nothing that appeared there", () =>
    Effect.gen(function* () {
      const { content, stranger, take } = yield* setUpHolder
      yield* stranger({ path: ["spec"], value: { a: { kept: 1 } } })
      const held = yield* take
      yield* stranger({ path: ["spec", "a", "b"], value: { c: { theirs: 2 } } })
      const deep = { path: ["spec", "a", "b", "c", "d", "e"], value: "new" } as const
      assert.isTrue(Exit.isSuccess(yield* run(held.commitAndRelease([deep]))))
      assert.deepStrictEqual(yield* content, { spec: { a: { kept: 1, b: { c: { theirs: 2, d: { e: "new" } } } } } })
    }).pipe(Effect.scoped)
  )

  it.effect("writes several fields within one that is missing, and removes what is not there", () =>
    Effect.gen(function* () {
      const { content, take } = yield* setUpHolder
      const held = yield* take
      const fields: ReadonlyArray<FieldPatch> = [
        value,
        { path: ["data", "deep", "other"], value: 1 },
        { path: ["data", "deep", "more", "x"], value: 2 },
        { path: ["status", "gone"], value: null }
      ]
      assert.isTrue(Exit.isSuccess(yield* run(held.commitAndRelease(fields))))
      assert.deepStrictEqual(yield* content, { data: { value: "new", deep: { other: 1, more: { x: 2 } } } })
    }).pipe(Effect.scoped)
  )

  for (const error of [unauthorized, forbidden, notFound("resource"), notFound("namespace"), notFound("object")]) {
    it.effect(`is tried again after one ${error._tag} ${"missing" in error ? error.missing : ""}`, () =>
      Effect.gen(function* () {
        const { annotations, content, take, us } = yield* setUpHolder
        const held = yield* take
        us.faults.push(["write", error], ["write", error], ["read", forbidden])
        assert.isTrue(Exit.isSuccess(yield* run(held.commitAndRelease([value]))))
        assert.deepStrictEqual(yield* content, { data: { value: "new" } })
        assert.deepStrictEqual(yield* annotations, { "example.com/other": "o" })
      }).pipe(Effect.scoped)
    )
  }

  it.effect("that is refused for a change does not take one wrong answer for a deletion", () =>
    Effect.gen(function* () {
      const { content, stranger, take, us } = yield* setUpHolder
      const held = yield* take
      yield* stranger({ path: ["data"], value: { other: "theirs" } })
      us.faults.push(["read", notFound("object")])
      assert.isTrue(Exit.isSuccess(yield* run(held.commitAndRelease([value]))))
      assert.deepStrictEqual(yield* content, { data: { other: "theirs", value: "new" } })
    }).pipe(Effect.scoped)
  )

  it.effect("is tried again for as long as a server that cannot be reached, and then fails with the last error", () =>
    Effect.gen(function* () {
      const { take, us } = yield* setUpHolder
      const held = yield* take
      us.faults.push(...Array.from({ length: 500 }, () => ["write", forbidden] as const))
      const commit = yield* Effect.forkChild(Effect.flip(held.commitAndRelease([value])), { startImmediately: true })
      yield* TestClock.adjust(Duration.subtract(patience, Duration.seconds(1)))
      assert.isUndefined(commit.pollUnsafe())
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* Fiber.join(commit))._tag, "LockForbidden")
    }).pipe(Effect.scoped)
  )

  it.effect("that no repetition can mend fails at once", () =>
    Effect.gen(function* () {
      const { take, us } = yield* setUpHolder
      const held = yield* take
      us.faults.push(["write", rejected])
      assert.strictEqual((yield* Effect.flip(held.commitAndRelease([value])))._tag, "LockRejected")
    }).pipe(Effect.scoped)
  )

  it.effect("to an object that was deleted fails, since the lock is gone with it", () =>
    Effect.gen(function* () {
      const { take, us } = yield* setUpHolder
      const held = yield* take
      yield* us.delete(id)
      const error = yield* Effect.flip(held.commitAndRelease([value]))
      assert.deepInclude(error, { _tag: "LockLost", reason: "Deleted" })
    }).pipe(Effect.scoped)
  )
})
