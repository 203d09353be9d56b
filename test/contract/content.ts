/** What every store must do with the content of objects: a patch applies as a whole, or not at all. */
import { assert, type Vitest } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { type AnnotationGuardedPatch, type FieldPath, ObjectStore } from "../../src/ObjectStore.ts"
import { anObject, type World } from "../utils/World.ts"

const bytes = (text: string) => Buffer.from(text).toString("base64")

/** Declares the suite. The store must include content. It may be that of Secrets: all fields are in `data`. */
export const content = (it: Vitest.MethodsNonLive<World | ObjectStore>) => {
  const anEmptyObject = Effect.gen(function* () {
    const store = yield* ObjectStore
    const id = yield* anObject({ "example.com/a": "1" })
    const write = (content: AnnotationGuardedPatch["content"], absent?: ReadonlyArray<FieldPath>) =>
      store.compareAndSwap(id, {
        expect: { annotations: { "example.com/a": "1" }, absent },
        annotations: { "example.com/b": "2" },
        content
      })
    yield* write([{ path: ["data"], value: null }])
    const data = Effect.map(store.read(id), ({ content }) => content?.["data"])
    return { write, data, version: Effect.map(store.read(id), ({ resourceVersion }) => resourceVersion) }
  })

  it.effect("sets a field within one that is there, and refuses to if it is missing", () =>
    Effect.gen(function* () {
      const { data, version, write } = yield* anEmptyObject
      const before = yield* version
      assert.isTrue(Option.isNone(yield* write([{ path: ["data", "a"], value: bytes("1") }])))
      assert.strictEqual(yield* version, before)
      assert.isTrue(Option.isSome(yield* write([{ path: ["data"], value: { a: bytes("1") } }])))
      assert.isTrue(Option.isSome(yield* write([{ path: ["data", "b"], value: bytes("2") }])))
      assert.deepStrictEqual(yield* data, { a: bytes("1"), b: bytes("2") })
    })
  )

  it.effect("writes only if the fields that must be missing are missing, and what leads to them is there", () =>
    Effect.gen(function* () {
      const { data, write } = yield* anEmptyObject
      const field = { path: ["data"], value: { a: bytes("1") } } as const
      assert.isTrue(Option.isNone(yield* write([field], [["data", "a"]])))
      assert.isTrue(Option.isSome(yield* write([field], [["data"]])))
      assert.isTrue(Option.isNone(yield* write([{ path: ["data"], value: { b: bytes("2") } }], [["data"]])))
      assert.isTrue(Option.isSome(yield* write([{ path: ["data", "b"], value: bytes("2") }], [["data", "b"]])))
      assert.deepStrictEqual(yield* data, { a: bytes("1"), b: bytes("2") })
    })
  )

  it.effect("leaves the resourceVersion as it is if the content is the same", () =>
    Effect.gen(function* () {
      const { version, write } = yield* anEmptyObject
      yield* write([{ path: ["data"], value: { a: bytes("1") } }])
      const before = yield* version
      yield* write([{ path: ["data", "a"], value: bytes("1") }])
      assert.strictEqual(yield* version, before)
    })
  )
}
