/** Preconditions of writes, and that a write happens as a whole or not at all: a part of the contract of the port. */
import { assert, type Vitest } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { ObjectStore, type ConditionalPatch } from "../../src/ObjectStore.ts"
import { refused, written } from "../utils/store.ts"
import { anObject, type World } from "../utils/World.ts"

type Expected = Extract<ConditionalPatch["expect"], { readonly annotations: unknown }>["annotations"]

/** The write of `example.com/written` on a condition. */
const writing = (id: string, annotations: Expected) =>
  Effect.flatMap(ObjectStore, (store) =>
    store.compareAndSwap(id, { expect: { annotations }, annotations: { "example.com/written": "w" } })
  )

const existing = { "example.com/a": "1", "example.com/b": "" }

/** Declares the suite. `it` is that of a layer that provides `World | ObjectStore`, on live clocks. */
export const preconditions = (it: Vitest.MethodsNonLive<World | ObjectStore>) => {
  const holding: ReadonlyArray<readonly [what: string, expected: Expected]> = [
    ["an annotation is there, whatever it says", { "example.com/a": true }],
    ["an annotation is there and empty", { "example.com/b": true }],
    ["an annotation is not there", { "example.com/c": false }],
    [
      "several are there, or have a value, or are not there",
      { "example.com/a": "1", "example.com/b": true, "example.com/c": false, "example.com/d~/e": false }
    ]
  ]
  for (const [what, expected] of holding) {
    it.effect(`writes if ${what}`, () =>
      Effect.gen(function* () {
        const id = yield* anObject(existing)
        assert.deepStrictEqual(
          { ...written(yield* writing(id, expected)).annotations },
          { ...existing, "example.com/written": "w" }
        )
      })
    )
  }

  const failing: ReadonlyArray<readonly [what: string, expected: Expected]> = [
    ["an annotation is not there that should be", { "example.com/c": true }],
    ["an annotation is there that should not be", { "example.com/a": false }],
    ["an annotation is there, though empty, that should not be", { "example.com/b": false }],
    ["one of several is not as it should be", { "example.com/a": "1", "example.com/b": true, "example.com/c": true }],
    ["one of several is there", { "example.com/a": false, "example.com/b": true, "example.com/c": false }]
  ]
  for (const [what, expected] of failing) {
    it.effect(`writes nothing if ${what}`, () =>
      Effect.gen(function* () {
        const store = yield* ObjectStore
        const id = yield* anObject(existing)
        const before = yield* store.read(id)
        refused(yield* writing(id, expected))
        assert.deepStrictEqual(yield* store.read(id), before)
      })
    )
  }

  it.effect("writes if an annotation says what JSON may spell in several ways", () =>
    Effect.gen(function* () {
      for (const text of ["R&D", "<a href='#'>", 'Jörg \\ "x"', "a\u2028b\tc", '{"a":"&"}']) {
        const id = yield* anObject({ "example.com/a": text })
        written(yield* writing(id, { "example.com/a": text }))
        refused(yield* writing(id, { "example.com/a": `${text}&` }))
      }
    })
  )

  it.effect(
    "stamps annotations with the version that the write finds, another one for each of many writes at once",
    () =>
      Effect.gen(function* () {
        const store = yield* ObjectStore
        const id = yield* anObject(existing)
        const before = yield* store.read(id)
        const names = Array.from({ length: 8 }, (_, index) => `example.com/stamp-${index}`)
        yield* Effect.forEach(
          names,
          (name) =>
            Effect.map(
              store.compareAndSwap(id, {
                expect: { annotations: { "example.com/a": "1" } },
                annotations: {},
                stamps: [name]
              }),
              written
            ),
          { concurrency: "unbounded" }
        )
        const after = yield* store.read(id)
        const stamps = names.map((name) => after.annotations[name]!)
        assert.lengthOf(new Set(stamps), names.length)
        assert.include(stamps, before.resourceVersion)
        assert.notInclude(stamps, after.resourceVersion)
        refused(
          yield* store.compareAndSwap(id, {
            expect: { annotations: { "example.com/a": "2" } },
            annotations: {},
            stamps: ["example.com/never"]
          })
        )
      })
  )

  it.effect("copies annotations that it finds, one after the other, to annotations and labels", () =>
    Effect.gen(function* () {
      const store = yield* ObjectStore
      const id = yield* anObject({ "example.com/1": "one", "example.com/2": "two" })
      const { resourceVersion } = yield* store.read(id)
      yield* store.compareAndSwap(id, {
        expect: { resourceVersion },
        annotations: {},
        labels: { "example.com/l": "x" }
      })
      const copies = [
        { from: "example.com/1", to: { label: "example.com/l" } },
        { from: "example.com/2", to: { annotation: "example.com/1" } },
        { from: "example.com/1", to: { annotation: "example.com/3" } }
      ]
      const expect = { annotations: { "example.com/1": true }, hasLabels: true } as const
      const after = written(
        yield* store.compareAndSwap(id, { expect, annotations: { "example.com/2": "new" }, copies })
      )
      assert.deepStrictEqual(
        { ...after.annotations },
        { "example.com/1": "two", "example.com/2": "new", "example.com/3": "two" }
      )
      assert.strictEqual(after.labels["example.com/l"], "one")
    })
  )

  it.effect("refuses any precondition that requires an annotation on an object without any", () =>
    Effect.gen(function* () {
      const store = yield* ObjectStore
      const id = yield* anObject()
      const before = yield* store.read(id)
      for (const wanted of [true, ""]) refused(yield* writing(id, { "example.com/a": wanted }))
      assert.deepStrictEqual(yield* store.read(id), before)
    })
  )

  it.effect("accepts the exact value of an annotation as a condition, and no similar one", () =>
    Effect.gen(function* () {
      const id = yield* anObject({ "example.com/a": "true", "example.com/b": "null" })
      refused(yield* writing(id, { "example.com/a": "True" }))
      refused(yield* writing(id, { "example.com/b": false }))
      written(yield* writing(id, { "example.com/a": "true", "example.com/b": "null" }))
    })
  )

  it.effect("writes content, annotations and labels together, or none of them", () =>
    Effect.gen(function* () {
      const store = yield* ObjectStore
      const id = yield* anObject(existing)
      const write = (expected: Expected): ConditionalPatch => ({
        expect: { annotations: expected, hasLabels: false },
        annotations: { "example.com/a": null, "example.com/written": "w" },
        labels: { "example.com/label": "l" },
        content: [
          { path: ["data"], value: {} },
          { path: ["data", "key"], value: "dmFs" }
        ]
      })
      const before = yield* store.read(id)
      const expected = { "example.com/a": true, "example.com/b": "", "example.com/c": false }
      refused(yield* store.compareAndSwap(id, write({ ...expected, "example.com/b": "x" })))
      assert.deepStrictEqual(yield* store.read(id), before)
      const after = written(yield* store.compareAndSwap(id, write(expected)))
      assert.deepStrictEqual({ ...after.annotations }, { "example.com/b": "", "example.com/written": "w" })
      assert.deepStrictEqual({ ...after.labels }, { "example.com/label": "l" })
    })
  )
}
