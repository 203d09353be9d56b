/** A cluster that refuses what the queue adds to an object: its annotations are nearly full, or a webhook admits no labels. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as TestClock from "effect/testing/TestClock"
import * as Lock from "../../../src/Lock.ts"
import * as LockError from "../../../src/LockError.ts"
import * as LockQueue from "../../../src/LockQueue.ts"
import { type ConditionalPatch, ObjectStore } from "../../../src/ObjectStore.ts"
import { contend } from "../../utils/contend.ts"
import { id, key, line, setUp } from "../../utils/processes.ts"

const full = new LockError.Rejected({
  object: id,
  verb: "patch",
  status: 422,
  detail: "Invalid (metadata.annotations)"
})
const tooLarge = new LockError.Rejected({ object: id, verb: "patch", status: 413, detail: "RequestEntityTooLarge" })
const denied = new LockError.Forbidden({ object: id, verb: "patch", status: 403, refusedBy: "Webhook", detail: "no" })

const joins = ({ annotations }: ConditionalPatch) =>
  Object.entries(annotations).some(([name, value]) => name.startsWith(`${line}-`) && value !== null)

const labels = (patch: ConditionalPatch) => LockQueue.labelKey(key) in (patch.labels ?? {})

/** A process on the same object, some of whose writes are refused. */
const refusing = (
  store: ObjectStore["Service"],
  identity: string,
  isRefused: (patch: ConditionalPatch) => boolean,
  error: LockError.StoreError
) => {
  const attempts = { refused: 0, reads: 0 }
  return Effect.map(
    Lock.make({ identity }).pipe(
      Effect.provideService(ObjectStore, {
        ...store,
        read: (id) => {
          attempts.reads++
          return store.read(id)
        },
        compareAndSwap: (id, patch) => {
          if (!isRefused(patch)) return store.compareAndSwap(id, patch)
          attempts.refused++
          return Effect.fail(error)
        }
      })
    ),
    (lock) => ({ attempts, wants: () => Effect.tap(contend(lock, id), () => TestClock.adjust("1 millis")) })
  )
}

describe("a waiter that cannot be written into the queue", () => {
  for (const error of [full, tooLarge, denied]) {
    it.effect(`(${error.status}) waits without a place, tries that once, says why once, and gets the lock`, () =>
      Effect.gen(function* () {
        const lines: Array<string> = []
        const keep = Logger.make(({ message }) => {
          lines.push(String(message))
        })
        yield* Effect.gen(function* () {
          const { aProcess } = yield* setUp
          const them = yield* aProcess("them")
          const theirs = yield* them.wants()
          const us = yield* refusing(them.sound, "us", joins, error)
          const ours = yield* us.wants()
          yield* TestClock.adjust("15 seconds")
          assert.isFalse(yield* ours.has)
          assert.strictEqual(us.attempts.refused, 1)
          assert.isAtMost(us.attempts.reads, 6)
          yield* theirs.letGo
          yield* TestClock.adjust("200 millis")
          assert.isTrue(yield* (yield* ours.held).isValid)
          yield* ours.letGo
        }).pipe(Effect.provide(Logger.layer([keep])))
        assert.deepStrictEqual(lines, [
          `Waits for lock "token" (token in memory) without a place in the queue. ${error.message}`
        ])
      }).pipe(Effect.scoped)
    )
  }
})

describe("a release whose hand-over is refused", () => {
  it.effect("frees the lock without it, and the waiter finds it within two seconds", () =>
    Effect.gen(function* () {
      const { aProcess, annotations } = yield* setUp
      const them = yield* aProcess("them")
      const us = yield* refusing(them.sound, "us", labels, denied)
      const ours = yield* us.wants()
      yield* ours.held
      const theirs = yield* them.wants()
      yield* TestClock.adjust("5 seconds")
      const released = yield* Effect.forkChild(ours.letGo, { startImmediately: true })
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(released)
      assert.notProperty(yield* annotations, key)
      assert.isAtLeast(us.attempts.refused, 1)
      yield* TestClock.adjust("2 seconds")
      assert.isTrue(yield* theirs.has)
    }).pipe(Effect.provide(Logger.layer([])), Effect.scoped)
  )

  it.effect("loses no content and no annotation: a commit is written without the hand-over", () =>
    Effect.gen(function* () {
      for (const error of [denied, full]) {
        const { aProcess, read } = yield* setUp
        const them = yield* aProcess("them")
        const us = yield* refusing(them.sound, "us", labels, error)
        const held = yield* (yield* us.wants()).held
        const theirs = yield* them.wants()
        yield* TestClock.adjust("5 seconds")
        yield* held.commitAndRelease([{ path: ["token"], value: "new" }], { "example.com/done": "yes" })
        const { annotations, content } = yield* read
        assert.deepStrictEqual(content, { token: "new" })
        assert.propertyVal(annotations, "example.com/done", "yes")
        yield* TestClock.adjust("2 seconds")
        assert.isTrue(yield* theirs.has)
      }
    }).pipe(Effect.provide(Logger.layer([])), Effect.scoped)
  )
})
