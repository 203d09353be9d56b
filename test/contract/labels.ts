/** Labels, and watches that are limited to one of them: a part of the contract of the port. */
import { assert, type Vitest } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import { type WatchEvent, type MetadataPatch, ObjectStore } from "../../src/ObjectStore.ts"
import { changesOf, refused, takeUntil, written } from "../utils/store.ts"
import { anObject, World } from "../utils/World.ts"

const name = "example.com/next"

/** An object with labels, and one annotation. */
const labelledObject = (labels: MetadataPatch = {}) =>
  Effect.tap(anObject({ "example.com/a": "1" }), (id) => write(id, labels))

/** Writes labels, and an annotation with them, as a stranger would. */
const write = (id: string, labels: MetadataPatch, value = "1") =>
  Effect.gen(function* () {
    const store = yield* ObjectStore
    const { resourceVersion } = yield* store.read(id)
    return written(
      yield* store.compareAndSwap(id, {
        expect: { resourceVersion },
        annotations: { "example.com/a": value },
        labels
      })
    )
  })

/** Writes a label on the condition of annotations. `labelled` says whether the object has labels. */
const writeUnder = (id: string, labelled: boolean, labels: MetadataPatch) =>
  Effect.flatMap(ObjectStore, (store) =>
    store.compareAndSwap(id, {
      expect: { annotations: { "example.com/a": "1" }, hasLabels: labelled },
      annotations: { "example.com/b": "2" },
      labels
    })
  )

const labelsOf = (id: string) =>
  Effect.map(
    Effect.flatMap(ObjectStore, (store) => store.read(id)),
    ({ labels }) => ({ ...labels })
  )

const next = (changes: Queue.Dequeue<WatchEvent>) => Effect.timeout(Queue.take(changes), "30 seconds")

const mine = { key: name, value: "me" }

/** Declares the suite. `it` is that of a layer that provides `World | ObjectStore`, on live clocks. */
export const labels = (it: Vitest.MethodsNonLive<World | ObjectStore>) => {
  it.effect("sets and removes labels under a resourceVersion, and leaves others alone", () =>
    Effect.gen(function* () {
      const id = yield* labelledObject()
      assert.deepStrictEqual(yield* labelsOf(id), {})
      assert.deepStrictEqual({ ...(yield* write(id, { [name]: "me", app: "x" })).labels }, { [name]: "me", app: "x" })
      const changed = { [name]: "you", "example.com/never-there": null }
      assert.deepStrictEqual({ ...(yield* write(id, changed)).labels }, { [name]: "you", app: "x" })
      yield* write(id, { [name]: null })
      assert.deepStrictEqual(yield* labelsOf(id), { app: "x" })
      yield* write(id, { app: null })
      assert.deepStrictEqual(yield* labelsOf(id), {})
    })
  )

  it.effect("sets and removes labels under annotations, on an object with labels and on one without", () =>
    Effect.gen(function* () {
      const id = yield* labelledObject()
      const first = written(yield* writeUnder(id, false, { [name]: "me" }))
      assert.deepStrictEqual({ ...first.labels }, { [name]: "me" })
      assert.deepStrictEqual({ ...first.annotations }, { "example.com/a": "1", "example.com/b": "2" })
      const second = written(yield* writeUnder(id, true, { app: "x", [name]: "you", "example.com/never-there": null }))
      assert.deepStrictEqual({ ...second.labels }, { app: "x", [name]: "you" })
      written(yield* writeUnder(id, true, { [name]: null }))
      assert.deepStrictEqual(yield* labelsOf(id), { app: "x" })
      written(yield* writeUnder(id, true, { app: null }))
      assert.deepStrictEqual(yield* labelsOf(id), {})
      written(yield* writeUnder(id, false, { [name]: "me", "example.com/never-there": null }))
      assert.deepStrictEqual(yield* labelsOf(id), { [name]: "me" })
    })
  )

  it.effect("a watch that is limited to either of two values tells of both, and of no other", () =>
    Effect.gen(function* () {
      const id = yield* labelledObject({ [name]: "you" })
      const changes = yield* changesOf(id, { label: { ...mine, or: "several" } })
      const told: Array<string | undefined> = []
      const untilTold = (value: string) =>
        takeUntil(changes, (event) => {
          if (event._tag === "Changed") told.push(event.snapshot.labels[name])
          return event._tag === "Changed" && event.snapshot.labels[name] === value
        })
      yield* write(id, { [name]: "several" }, "2")
      yield* untilTold("several")
      yield* write(id, { [name]: "you" }, "3")
      yield* write(id, { [name]: "me" }, "4")
      yield* untilTold("me")
      assert.notInclude(told, "you")
    })
  )

  it.effect("writes nothing if `hasLabels` is wrong in either direction", () =>
    Effect.gen(function* () {
      const store = yield* ObjectStore
      const bare = yield* labelledObject()
      const labelled = yield* labelledObject({ app: "x" })
      const before = [yield* store.read(bare), yield* store.read(labelled)]
      for (const labels of [{ [name]: "me" }, { [name]: null }]) {
        refused(yield* writeUnder(bare, true, labels))
        refused(yield* writeUnder(labelled, false, labels))
      }
      assert.deepStrictEqual([yield* store.read(bare), yield* store.read(labelled)], before)
    })
  )

  it.effect("leaves labels alone, and needs no `hasLabels`, if it writes no label", () =>
    Effect.gen(function* () {
      const store = yield* ObjectStore
      const id = yield* labelledObject({ app: "x" })
      const annotations = { "example.com/a": "1" }
      const after = written(
        yield* store.compareAndSwap(id, { expect: { annotations }, annotations: { "example.com/b": "2" } })
      )
      assert.deepStrictEqual({ ...after.labels }, { app: "x" })
    })
  )

  it.effect("leaves the resourceVersion as it is if a label has the value already", () =>
    Effect.gen(function* () {
      const store = yield* ObjectStore
      const id = yield* labelledObject({ [name]: "me" })
      const before = yield* store.read(id)
      const { annotations, resourceVersion } = before
      const labels = { [name]: "me" }
      assert.deepStrictEqual(
        written(yield* store.compareAndSwap(id, { expect: { resourceVersion }, annotations, labels })),
        before
      )
      const expect = { annotations, labelled: true }
      assert.deepStrictEqual(written(yield* store.compareAndSwap(id, { expect, annotations, labels })), before)
    })
  )

  it.effect("begins with the object if it has the label, and reports every change while it has", () =>
    Effect.gen(function* () {
      const id = yield* labelledObject({ [name]: "me" })
      const present = yield* Effect.flatMap(ObjectStore, (store) => store.read(id))
      const changes = yield* changesOf(id, { label: mine })
      assert.deepStrictEqual(yield* next(changes), { _tag: "Changed", snapshot: present })
      for (const value of ["2", "3", "4"]) {
        const snapshot = yield* write(id, {}, value)
        assert.deepStrictEqual(yield* next(changes), { _tag: "Changed", snapshot })
      }
    })
  )

  it.effect("reports an object only while it has the label", () =>
    Effect.gen(function* () {
      const id = yield* labelledObject({ [name]: "you" })
      const changes = yield* changesOf(id, { label: mine })
      yield* write(id, {}, "2")
      yield* write(id, { [name]: null }, "3")
      const matching = yield* write(id, { [name]: "me" }, "4")
      assert.deepStrictEqual(yield* next(changes), { _tag: "Changed", snapshot: matching })
      yield* write(id, { [name]: "you" }, "5")
      assert.deepStrictEqual(yield* next(changes), { _tag: "Deleted" })
      yield* write(id, {}, "6")
      yield* write(id, { [name]: null }, "7")
      const again = yield* write(id, { [name]: "me" }, "8")
      assert.deepStrictEqual(yield* next(changes), { _tag: "Changed", snapshot: again })
    })
  )

  it.effect("reports the end of an object that has the label, and not of one that does not", () =>
    Effect.gen(function* () {
      const world = yield* World
      const id = yield* labelledObject({ [name]: "me" })
      const changes = yield* changesOf(id, { label: mine })
      yield* next(changes)
      yield* world.delete(id)
      assert.deepStrictEqual(yield* next(changes), { _tag: "Deleted" })
      yield* world.make(id)
      yield* world.delete(id)
      yield* world.make(id)
      const snapshot = yield* write(id, { [name]: "me" })
      assert.deepStrictEqual(yield* next(changes), { _tag: "Changed", snapshot })
    })
  )

  it.effect("reports what happened to the label after a resourceVersion, and nothing from before", () =>
    Effect.gen(function* () {
      const id = yield* labelledObject()
      const before = yield* write(id, {}, "2")
      const quiet = yield* changesOf(id, { label: mine, since: before.resourceVersion })
      const labelled = yield* write(id, { [name]: "me" }, "3")
      assert.deepStrictEqual(yield* next(quiet), { _tag: "Changed", snapshot: labelled })
      const late = yield* changesOf(id, { label: mine, since: before.resourceVersion })
      assert.deepStrictEqual(yield* next(late), { _tag: "Changed", snapshot: labelled })
      const up = yield* changesOf(id, { label: mine, since: labelled.resourceVersion })
      const after = yield* write(id, {}, "4")
      assert.deepStrictEqual(yield* next(up), { _tag: "Changed", snapshot: after })
      yield* write(id, { [name]: null }, "5")
      const tooLate = yield* changesOf(id, { label: mine, since: after.resourceVersion })
      assert.deepStrictEqual(yield* next(tooLate), { _tag: "Deleted" })
    })
  )

  it.effect("reports to each of two watches for different values only its own value", () =>
    Effect.gen(function* () {
      const id = yield* labelledObject()
      const me = yield* changesOf(id, { label: mine })
      const you = yield* changesOf(id, { label: { key: name, value: "you" } })
      const all = yield* changesOf(id)
      const first = yield* write(id, { [name]: "me" }, "2")
      const second = yield* write(id, { [name]: "you" }, "3")
      assert.deepStrictEqual(
        [yield* next(me), yield* next(me)],
        [{ _tag: "Changed", snapshot: first }, { _tag: "Deleted" }]
      )
      assert.deepStrictEqual(yield* next(you), { _tag: "Changed", snapshot: second })
      yield* takeUntil(
        all,
        (change) => change._tag === "Changed" && change.snapshot.resourceVersion === second.resourceVersion
      )
    })
  )
}
