/** A server that accepts writes and stores something else, as a mutating webhook makes it, or whose versions are opaque. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as TestClock from "effect/testing/TestClock"
import * as Lock from "../../../src/Lock.ts"
import { type ConditionalPatch, type ObjectSnapshot, ObjectStore } from "../../../src/ObjectStore.ts"
import { id, key, setUp } from "../../utils/processes.ts"

/** A process whose writes are changed on their way if `isAltered` says so. */
const process = (
  isAltered: (patch: ConditionalPatch) => boolean,
  altered: (patch: ConditionalPatch) => ConditionalPatch
) =>
  Effect.gen(function* () {
    const world = yield* setUp
    const them = yield* world.aProcess("them")
    const store = them.sound
    const lock = yield* Lock.make({ identity: "us" }).pipe(
      Effect.provideService(ObjectStore, {
        ...store,
        compareAndSwap: (id, patch) => store.compareAndSwap(id, isAltered(patch) ? altered(patch) : patch)
      })
    )
    return { ...world, them, lock }
  })

const withoutAnnotations = (patch: ConditionalPatch): ConditionalPatch => ({
  ...patch,
  annotations: { "example.com/other": "the webhook's" }
})

const holderAfter = (patch: ConditionalPatch) => patch.annotations[`${key}-holder`]

describe("a server that drops the annotations of", () => {
  it.effect("every write grants no lock, names the suspect, and leaves nothing behind", () =>
    Effect.gen(function* () {
      const { annotations, lock, them } = yield* process(() => true, withoutAnnotations)
      const error = yield* Effect.flip(Effect.scoped(lock.scoped(id)))
      assert.strictEqual(error._tag, "LockAltered")
      assert.include(error.message, "mutating webhook")
      assert.notProperty(yield* annotations, key)
      assert.isTrue(yield* (yield* them.lock.tryScoped(id)).isValid)
    }).pipe(Effect.scoped)
  )

  it.effect("a renewal renews nothing: the holder loses the lock in time", () =>
    Effect.gen(function* () {
      let isOn = false
      const { lock } = yield* process(
        () => isOn,
        (patch) => ({ ...patch, annotations: {} })
      )
      const held = yield* lock.scoped(id)
      isOn = true
      const lost = yield* Effect.forkChild(Effect.flip(held.lost), { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      assert.isFalse(yield* held.isValid)
      assert.strictEqual((yield* Fiber.join(lost))._tag, "LockLost")
      isOn = false
    }).pipe(Effect.scoped)
  )

  it.effect("a join costs the waiter its place, and no more", () =>
    Effect.gen(function* () {
      let joins = 0
      const { lock, them } = yield* process(
        (patch) => Object.keys(patch.annotations).some((name) => name.startsWith(`${key}-queue-`)) && ++joins > 0,
        (patch) => ({ ...patch, annotations: {} })
      )
      const theirs = yield* them.wants()
      yield* theirs.held
      const ours = yield* Effect.forkChild(lock.scoped(id), { startImmediately: true })
      yield* TestClock.adjust("5 seconds")
      assert.isAtMost(joins, 6)
      yield* theirs.letGo
      yield* TestClock.adjust("5 seconds")
      assert.isTrue(yield* (yield* Fiber.join(ours)).isValid)
    }).pipe(Effect.scoped)
  )

  it.effect("a release says so, and the lock frees itself", () =>
    Effect.gen(function* () {
      let isOn = true
      const { annotations, lock, them } = yield* process(
        (patch) => isOn && holderAfter(patch) === null,
        (patch) => ({ ...patch, annotations: {} })
      )
      const hold = yield* Effect.forkChild(Effect.scoped(lock.scoped(id)), { startImmediately: true })
      yield* TestClock.adjust("6 seconds")
      yield* Fiber.join(hold)
      assert.property(yield* annotations, key)
      isOn = false
      yield* TestClock.adjust("6 seconds")
      assert.isTrue(yield* (yield* them.lock.tryScoped(id)).isValid)
    }).pipe(Effect.scoped)
  )

  it.effect("a commit fails, and the lock counts as lost until that is settled", () =>
    Effect.gen(function* () {
      let isOn = true
      const { lock } = yield* process(
        (patch) => isOn && holderAfter(patch) === null,
        (patch) => ({ ...patch, content: [], annotations: { other: "x" } })
      )
      const held = yield* lock.scoped(id)
      const commit = yield* Effect.forkChild(Effect.flip(held.commitAndRelease([{ path: ["a"], value: "b" }])), {
        startImmediately: true
      })
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(commit))._tag, "LockAltered")
      isOn = false
      assert.isFalse(yield* held.isValid)
      yield* TestClock.adjust("6 seconds")
      assert.isTrue(yield* held.isValid)
    }).pipe(Effect.scoped)
  )
})

describe("a server whose versions are no decimal numbers", () => {
  it.effect("gets no lock, but a typed error, and nothing is left behind", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const { sound } = yield* world.aProcess("us")
      const opaque = (snapshot: ObjectSnapshot) => ({ ...snapshot, resourceVersion: `rv-${snapshot.resourceVersion}` })
      const store: ObjectStore["Service"] = {
        ...sound,
        read: (id) => Effect.map(sound.read(id), opaque),
        compareAndSwap: (id, patch) =>
          Effect.map(
            sound.compareAndSwap(
              id,
              "resourceVersion" in patch.expect
                ? { ...patch, expect: { resourceVersion: patch.expect.resourceVersion.slice(3) } }
                : patch
            ),
            Option.map(opaque)
          )
      }
      const lock = yield* Lock.make({ identity: "us" }).pipe(Effect.provideService(ObjectStore, store))
      for (const error of [
        yield* Effect.flip(Effect.scoped(lock.scoped(id))),
        yield* Effect.andThen(TestClock.adjust("100 millis"), Effect.flip(Effect.scoped(lock.tryScoped(id))))
      ]) {
        assert.strictEqual(error._tag, "LockRejected")
        assert.match(error.message, /resourceVersion is not a decimal number/)
      }
      yield* TestClock.adjust("100 millis")
      yield* world.isUntouched
    }).pipe(Effect.scoped)
  )
})
