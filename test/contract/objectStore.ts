/** What every store must do: the contract of the port, as tests. */
import { assert, type Vitest } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import { ObjectStore, type ConditionalPatch } from "../../src/ObjectStore.ts"
import { changesOf, hasAnnotation, takeUntil, written } from "../utils/store.ts"
import { anObject, freshId, World } from "../utils/World.ts"
import { labels } from "./labels.ts"
import { preconditions } from "./preconditions.ts"

/** Declares the suite. `it` is that of a layer that provides `World | ObjectStore`, on live clocks. */
export const contract = (it: Vitest.MethodsNonLive<World | ObjectStore>) => {
  it.effect("reads an object, and says what is missing if there is none", () =>
    Effect.gen(function* () {
      const store = yield* ObjectStore
      const id = yield* anObject({ "example.com/a": "1" })
      const snapshot = yield* store.read(id)
      assert.deepStrictEqual({ ...snapshot.annotations }, { "example.com/a": "1" })
      assert.match(snapshot.resourceVersion, /^\d+$/)
      assert.isNotEmpty(snapshot.uid)
      const error = yield* Effect.flip(store.read(freshId()))
      assert.deepInclude(error, { _tag: "LockNotFound", missing: "object" })
    })
  )

  it.effect("refuses invalid names before it sends anything", () =>
    Effect.gen(function* () {
      const store = yield* ObjectStore
      const expect = { resourceVersion: "1" }
      for (const id of ["../x", "a/b", "", "A", "a".repeat(254)]) {
        const errors = yield* Effect.all([
          Effect.flip(store.read(id)),
          Effect.flip(store.create(id, {})),
          Effect.flip(store.compareAndSwap(id, { expect, annotations: {} })),
          Effect.flip(store.remove(id, { uid: "u", resourceVersion: "1" })),
          Effect.flip(Stream.runDrain(store.watch(id)))
        ])
        assert.deepStrictEqual([...new Set(errors.map((error) => error._tag))], ["LockInvalidName"], id)
      }
    })
  )

  it.effect("takes a name of 253 characters", () =>
    Effect.gen(function* () {
      const store = yield* ObjectStore
      const id = `${freshId()}-`.padEnd(253, "x")
      written(yield* store.create(id, { "example.com/a": "1" }))
      assert.propertyVal((yield* store.read(id)).annotations, "example.com/a", "1")
      yield* (yield* World).delete(id)
    })
  )

  it.effect("creates an object once, also if several try", () =>
    Effect.gen(function* () {
      const store = yield* ObjectStore
      const id = freshId()
      const answers = yield* Effect.forEach(
        [1, 2, 3, 4, 5, 6],
        (n) => store.create(id, { "example.com/maker": String(n) }),
        { concurrency: "unbounded" }
      )
      assert.lengthOf(answers.filter(Option.isSome), 1)
      const winner = Option.getOrThrow(Option.firstSomeOf(answers))
      assert.deepStrictEqual(yield* store.read(id), winner)
      yield* (yield* World).delete(id)
    })
  )

  it.effect("labels the objects that it makes, and no others", () =>
    Effect.gen(function* () {
      const store = yield* ObjectStore
      const id = freshId()
      const made = written(yield* store.create(id, {}))
      assert.deepStrictEqual({ ...made.labels }, { "app.kubernetes.io/managed-by": "kubelock" })
      assert.deepStrictEqual(yield* store.read(id), made)
      assert.deepStrictEqual({ ...(yield* store.read(yield* anObject())).labels }, {})
      yield* (yield* World).delete(id)
    })
  )

  it.effect("deletes an object in the version that is named, and in no other", () =>
    Effect.gen(function* () {
      const store = yield* ObjectStore
      const id = freshId()
      const before = written(yield* store.create(id, { "example.com/a": "1" }))
      const annotations = { "example.com/a": "2" }
      const { resourceVersion } = before
      const after = written(yield* store.compareAndSwap(id, { expect: { resourceVersion }, annotations }))
      assert.strictEqual(yield* store.remove(id, before), "Changed")
      assert.strictEqual(yield* store.remove(id, { ...after, uid: before.uid.replace(/.$/, "x") }), "Changed")
      assert.deepStrictEqual(yield* store.read(id), after)
      assert.strictEqual(yield* store.remove(id, after), "Removed")
      for (const request of [Effect.asVoid(store.read(id)), Effect.asVoid(store.remove(id, after))]) {
        assert.deepInclude(yield* Effect.flip(request), { _tag: "LockNotFound", missing: "object" })
      }
    })
  )

  it.effect("never deletes an object that has content", () =>
    Effect.gen(function* () {
      const store = yield* ObjectStore
      const id = yield* anObject({ "example.com/a": "1" })
      const expect = { annotations: { "example.com/a": "1" } }
      const content = [(yield* World).field]
      const found = written(yield* store.compareAndSwap(id, { expect, annotations: {}, content }))
      assert.strictEqual(yield* store.remove(id, found), "HasContent")
      assert.deepInclude(yield* store.read(id), { uid: found.uid })
    })
  )

  it.effect("writes under the current resourceVersion, and leaves other annotations alone", () =>
    Effect.gen(function* () {
      const store = yield* ObjectStore
      const id = yield* anObject({ "example.com/keep": "k", "example.com/drop": "d", "example.com/set": "1" })
      const before = yield* store.read(id)
      const after = written(
        yield* store.compareAndSwap(id, {
          expect: { resourceVersion: before.resourceVersion },
          annotations: { "example.com/set": "2", "example.com/drop": null, "example.com/never-there": null }
        })
      )
      assert.deepStrictEqual({ ...after.annotations }, { "example.com/keep": "k", "example.com/set": "2" })
      assert.strictEqual(after.uid, before.uid)
      assert.isTrue(BigInt(after.resourceVersion) > BigInt(before.resourceVersion))
      assert.deepStrictEqual(yield* store.read(id), after)
    })
  )

  it.effect("writes nothing under a stale resourceVersion", () =>
    Effect.gen(function* () {
      const store = yield* ObjectStore
      const id = yield* anObject()
      const { resourceVersion } = yield* store.read(id)
      const swap = (value: string) =>
        store.compareAndSwap(id, { expect: { resourceVersion }, annotations: { "example.com/a": value } })
      const after = written(yield* swap("1"))
      assert.isTrue(Option.isNone(yield* swap("2")))
      assert.deepStrictEqual(yield* store.read(id), after)
    })
  )

  it.effect("lets one of many writers under one resourceVersion through", () =>
    Effect.gen(function* () {
      const store = yield* ObjectStore
      const id = yield* anObject()
      const { resourceVersion } = yield* store.read(id)
      const answers = yield* Effect.forEach(
        [1, 2, 3, 4, 5, 6, 7, 8],
        (n) => store.compareAndSwap(id, { expect: { resourceVersion }, annotations: { "example.com/a": String(n) } }),
        { concurrency: "unbounded" }
      )
      assert.lengthOf(answers.filter(Option.isSome), 1)
    })
  )

  it.effect("writes under annotations, whatever else changed on the object", () =>
    Effect.gen(function* () {
      const store = yield* ObjectStore
      const id = yield* anObject({ "example.com/mine": "1", "example.com/other": "1" })
      const { resourceVersion } = yield* store.read(id)
      written(
        yield* store.compareAndSwap(id, { expect: { resourceVersion }, annotations: { "example.com/other": "2" } })
      )
      const after = written(
        yield* store.compareAndSwap(id, {
          expect: { annotations: { "example.com/mine": "1" } },
          annotations: { "example.com/mine": "2", "example.com/new": "n", "example.com/never-there": null }
        })
      )
      assert.deepStrictEqual(
        { ...after.annotations },
        { "example.com/mine": "2", "example.com/other": "2", "example.com/new": "n" }
      )
    })
  )

  it.effect("removes annotations on the condition that they are there, also the last ones of the object", () =>
    Effect.gen(function* () {
      const store = yield* ObjectStore
      const id = yield* anObject({ "example.com/a": "1", "example.com/b": "2" })
      const swap = store.compareAndSwap(id, {
        expect: { annotations: { "example.com/a": "1", "example.com/b": "2" } },
        annotations: { "example.com/a": null, "example.com/b": null }
      })
      assert.deepStrictEqual({ ...written(yield* swap).annotations }, {})
      assert.isTrue(Option.isNone(yield* swap))
    })
  )

  it.effect("writes nothing if one of the annotations has another value, or is not there", () =>
    Effect.gen(function* () {
      const store = yield* ObjectStore
      const id = yield* anObject({ "example.com/a": "1" })
      const before = yield* store.read(id)
      for (const annotations of [{ "example.com/a": "2" }, { "example.com/a": "1", "example.com/b": "1" }]) {
        const answer = yield* store.compareAndSwap(id, {
          expect: { annotations },
          annotations: { "example.com/c": "3" }
        })
        assert.isTrue(Option.isNone(answer))
      }
      assert.deepStrictEqual(yield* store.read(id), before)
    })
  )

  it.effect("leaves the resourceVersion as it is if a write changes nothing", () =>
    Effect.gen(function* () {
      const store = yield* ObjectStore
      const id = yield* anObject({ "example.com/a": "0" })
      const annotations = { "example.com/a": "1" }
      const found = { resourceVersion: (yield* store.read(id)).resourceVersion }
      const before = written(yield* store.compareAndSwap(id, { expect: found, annotations }))
      const { resourceVersion } = before
      assert.deepStrictEqual(
        written(yield* store.compareAndSwap(id, { expect: { resourceVersion }, annotations })),
        before
      )
      assert.deepStrictEqual(written(yield* store.compareAndSwap(id, { expect: { annotations }, annotations })), before)
    })
  )

  it.effect("keeps any value, and keys that contain the special characters of a JSON pointer", () =>
    Effect.gen(function* () {
      const store = yield* ObjectStore
      const id = yield* anObject({ "example.com/a": "1" })
      const annotations: Record<string, string> = {
        "example.com/a": "",
        "example.com/b": 'quotes " and \\ and ~1 and ünï ☃ \n',
        "example.com/long": "x".repeat(100_000)
      }
      written(yield* store.compareAndSwap(id, { expect: { annotations: { "example.com/a": "1" } }, annotations }))
      assert.deepStrictEqual({ ...(yield* store.read(id)).annotations }, annotations)
    })
  )

  it.effect("refuses to write to an object that is not there", () =>
    Effect.gen(function* () {
      const store = yield* ObjectStore
      const id = freshId()
      const writes: ReadonlyArray<ConditionalPatch> = [
        { expect: { resourceVersion: "1" }, annotations: {} },
        { expect: { annotations: { "example.com/a": "1" } }, annotations: {} }
      ]
      for (const write of writes) {
        const error = yield* Effect.flip(store.compareAndSwap(id, write))
        assert.deepInclude(error, { _tag: "LockNotFound", missing: "object" })
      }
    })
  )

  it.effect("gives a new uid and a larger resourceVersion to an object that is deleted and created again", () =>
    Effect.gen(function* () {
      const store = yield* ObjectStore
      const world = yield* World
      const id = yield* anObject()
      const first = yield* store.read(id)
      yield* world.delete(id)
      yield* world.make(id)
      const second = yield* store.read(id)
      assert.notStrictEqual(second.uid, first.uid)
      assert.isTrue(BigInt(second.resourceVersion) > BigInt(first.resourceVersion))
      const { resourceVersion } = first
      const late = yield* store.compareAndSwap(id, {
        expect: { resourceVersion },
        annotations: { "example.com/a": "1" }
      })
      assert.isTrue(Option.isNone(late))
    })
  )

  it.effect("reports the current state, each change, and the end of an object", () =>
    Effect.gen(function* () {
      const store = yield* ObjectStore
      const world = yield* World
      const id = yield* anObject({ "example.com/a": "1" })
      const other = yield* anObject()
      const changes = yield* changesOf(id)
      yield* takeUntil(changes, hasAnnotation("example.com/a", "1"))
      const swap = (id: string, value: string) =>
        Effect.flatMap(store.read(id), ({ resourceVersion }) =>
          store.compareAndSwap(id, { expect: { resourceVersion }, annotations: { "example.com/a": value } })
        )
      yield* swap(other, "x")
      const after = written(yield* swap(id, "2"))
      assert.deepStrictEqual(yield* takeUntil(changes, hasAnnotation("example.com/a", "2")), {
        _tag: "Changed",
        snapshot: after
      })
      yield* world.delete(id)
      yield* takeUntil(changes, (change) => change._tag === "Deleted")
      yield* world.make(id, { "example.com/a": "3" })
      yield* takeUntil(changes, hasAnnotation("example.com/a", "3"))
    })
  )

  it.effect("reports nothing of an object until it exists", () =>
    Effect.gen(function* () {
      const world = yield* World
      const id = freshId()
      const changes = yield* changesOf(id)
      yield* world.make(id, { "example.com/a": "1" })
      const first = yield* Queue.take(changes)
      assert.isTrue(hasAnnotation("example.com/a", "1")(first))
    })
  )

  it.effect("reports what changed after a resourceVersion, and misses nothing that was written since", () =>
    Effect.gen(function* () {
      const store = yield* ObjectStore
      const id = yield* anObject({ "example.com/a": "1" })
      const { resourceVersion } = yield* store.read(id)
      const quiet = yield* changesOf(id, { since: resourceVersion })
      written(yield* store.compareAndSwap(id, { expect: { resourceVersion }, annotations: { "example.com/a": "2" } }))
      assert.isTrue(hasAnnotation("example.com/a", "2")(yield* Queue.take(quiet)))
      const late = yield* changesOf(id, { since: resourceVersion })
      assert.isTrue(hasAnnotation("example.com/a", "2")(yield* Queue.take(late)))
    })
  )

  it.effect("ends a watch that is interrupted", () =>
    Effect.gen(function* () {
      const store = yield* ObjectStore
      const id = yield* anObject()
      const fiber = yield* Effect.forkChild(Stream.runDrain(store.watch(id)), { startImmediately: true })
      yield* Fiber.interrupt(fiber)
    })
  )

  it.effect("knows the time within five seconds", () =>
    Effect.gen(function* () {
      const store = yield* ObjectStore
      yield* store.read(yield* anObject())
      const { earliest, latest } = yield* store.now
      assert.isAtMost(earliest, latest)
      assert.isAtMost(latest - earliest, 5000)
    })
  )

  preconditions(it)
  labels(it)
}
