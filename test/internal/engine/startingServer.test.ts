/** A server that has just started forbids for a moment what it allows, and does not know custom resources yet. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as TestClock from "effect/testing/TestClock"
import * as LockError from "../../../src/LockError.ts"
import * as LockPolicy from "../../../src/LockPolicy.ts"
import { id, setUp } from "../../utils/processes.ts"

const refusals: ReadonlyArray<LockError.StoreError> = [
  new LockError.Forbidden({ object: id, verb: "get", status: 403, refusedBy: "Authorizer", detail: "no" }),
  new LockError.NotFound({ id, object: id, missing: "resource" })
]

const times = <A>(count: number, value: A): ReadonlyArray<A> => Array.from({ length: count }, () => value)

for (const refusal of refusals) {
  describe(`while a server answers ${refusal._tag}`, () => {
    it.effect("a waiter tries again, and gets the lock once the server is ready", () =>
      Effect.gen(function* () {
        const { aProcess } = yield* setUp
        const us = yield* aProcess("us")
        us.faults.push(...times(5, ["read", refusal] as const), ["write", refusal])
        const ours = yield* us.wants()
        yield* TestClock.adjust("2900 millis")
        assert.isTrue(yield* ours.has)
      })
    )

    it.effect("a waiter asks four times a second, and believes it after three seconds", () =>
      Effect.gen(function* () {
        const { aProcess } = yield* setUp
        const us = yield* aProcess("us")
        us.faults.push(...times(100, ["read", refusal] as const))
        const ours = yield* us.wants()
        yield* TestClock.adjust("2900 millis")
        assert.isUndefined(ours.fiber.pollUnsafe())
        yield* TestClock.adjust("200 millis")
        assert.strictEqual(yield* Effect.flip(ours.held), refusal)
        assert.lengthOf(us.requests, 13)
      })
    )

    it.effect("a waiter that may read and not write is told so after three seconds", () =>
      Effect.gen(function* () {
        const { aProcess } = yield* setUp
        const us = yield* aProcess("us")
        us.faults.push(...times(100, ["write", refusal] as const))
        const ours = yield* us.wants({ waitSchedule: LockPolicy.fixedPolls("100 millis", 1000) })
        yield* TestClock.adjust("4 seconds")
        assert.strictEqual(yield* Effect.flip(ours.held), refusal)
        const them = yield* aProcess("them")
        const theirs = yield* them.wants()
        yield* theirs.held
        const waiting = yield* us.wants({ waitSchedule: LockPolicy.fixedPolls("100 millis", 1000) })
        yield* TestClock.adjust("4 seconds")
        assert.strictEqual(yield* Effect.flip(waiting.held), refusal)
      })
    )

    it.effect("the three seconds begin anew after another answer", () =>
      Effect.gen(function* () {
        const { aProcess } = yield* setUp
        const us = yield* aProcess("us")
        const them = yield* aProcess("them")
        const theirs = yield* them.wants()
        yield* theirs.held
        us.faults.push(
          ...times(8, ["read", refusal] as const),
          ["read", "None"],
          ...times(8, ["read", refusal] as const)
        )
        const ours = yield* us.wants()
        yield* TestClock.adjust("10 seconds")
        assert.isUndefined(ours.fiber.pollUnsafe())
        yield* theirs.letGo
        yield* TestClock.adjust("10 seconds")
        assert.isTrue(yield* ours.has)
      })
    )

    it.effect("a wait that ends with its schedule fails with what the server answered", () =>
      Effect.gen(function* () {
        const { aProcess } = yield* setUp
        const us = yield* aProcess("us")
        us.faults.push(...times(100, ["read", refusal] as const))
        const ours = yield* us.wants({ waitSchedule: LockPolicy.fixedPolls("100 millis", 5) })
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual(yield* Effect.flip(ours.held), refusal)
      })
    )

    it.effect("a single attempt fails at once", () =>
      Effect.gen(function* () {
        const { aProcess } = yield* setUp
        const us = yield* aProcess("us")
        us.faults.push(["read", refusal])
        assert.strictEqual(yield* Effect.flip(Effect.scoped(us.lock.tryScoped(id))), refusal)
      })
    )

    it.effect("a release is tried again", () =>
      Effect.gen(function* () {
        const world = yield* setUp
        const us = yield* world.aProcess("us")
        const ours = yield* us.wants()
        yield* ours.held
        us.faults.push(...times(3, ["write", refusal] as const), ...times(3, ["read", refusal] as const))
        yield* Effect.forkChild(ours.letGo, { startImmediately: true })
        yield* TestClock.adjust("3 seconds")
        yield* world.isUntouched
      })
    )
  })
}

describe("a refusal that is no matter of the start", () => {
  const quota = new LockError.Forbidden({ object: id, verb: "create", status: 403, refusedBy: "Quota", detail: "no" })
  const missing = new LockError.NotFound({ id, object: id, missing: "namespace" })
  for (const error of [quota, missing]) {
    it.effect(`is final at once (${error.message})`, () =>
      Effect.gen(function* () {
        const { aProcess } = yield* setUp
        const us = yield* aProcess("us")
        us.faults.push(["read", error])
        const ours = yield* us.wants()
        assert.isTrue(Exit.isFailure(yield* Effect.exit(ours.held)))
        assert.deepStrictEqual(us.requests, ["read"])
      })
    )
  }
})
