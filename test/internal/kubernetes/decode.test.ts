import { assert, describe, it } from "@effect/vitest"
import * as objects from "../../../src/internal/kubernetes/decode.ts"

const metadata = { uid: "u", resourceVersion: "7", annotations: { a: "1" }, labels: { b: "2" } }
const partial = { kind: "PartialObjectMetadata", apiVersion: "meta.k8s.io/v1", metadata: { name: "n", ...metadata } }

const withPart = (part: string) => (value: unknown) => ({ ...metadata, [part]: value })

/** Invalid metadata: one part has the wrong type. */
const damaged: ReadonlyArray<unknown> = [
  ...["uid", "resourceVersion"].flatMap((part) => [undefined, null, 1, {}, []].map(withPart(part))),
  ...["annotations", "labels"].flatMap((part) =>
    [null, 1, "a", [], ["a"], { a: 1 }, { a: null }, { a: "1", b: {} }].map(withPart(part))
  )
]

describe("an object", () => {
  it("is decoded with its metadata alone, or with its content", () => {
    const read = (object: object, includesContent: boolean) =>
      objects.objectFromJson(JSON.stringify(object), includesContent)?.snapshot
    assert.deepStrictEqual(read(partial, false), metadata)
    const secret = { kind: "Secret", apiVersion: "v1", metadata, type: "Opaque", data: { key: "dg==" } }
    assert.deepStrictEqual(read(secret, false), metadata)
    assert.deepStrictEqual(read(secret, true), {
      ...metadata,
      content: { type: "Opaque", data: { key: "dg==" } }
    })
    const { annotations: _annotations, labels: _labels, ...bare } = metadata
    assert.deepStrictEqual(read({ ...partial, metadata: bare }, false), {
      ...bare,
      annotations: {},
      labels: {}
    })
  })

  it("is tracked if it lists who owns its fields, and nobody applies it", () => {
    const isTracked = (managedFields: unknown) =>
      objects.objectFromJson(JSON.stringify({ ...partial, metadata: { ...metadata, managedFields } }), false)?.isTracked
    const update = { manager: "a", operation: "Update", fieldsV1: {} }
    const apply = { manager: "b", operation: "Apply", fieldsV1: {} }
    for (const list of [[update], [update, update]]) assert.isTrue(isTracked(list), JSON.stringify(list))
    for (const list of [undefined, null, [], {}, "a", [{}], [null], [apply], [update, apply], [apply, update]]) {
      assert.isFalse(isTracked(list), JSON.stringify(list))
    }
  })

  it("is not decoded if its metadata is invalid", () => {
    for (const metadata of [...damaged, null, 1, "a", []]) {
      assert.isUndefined(
        objects.objectFromJson(JSON.stringify({ ...partial, metadata }), true),
        JSON.stringify(metadata)
      )
    }
    for (const text of ["", "{", "1", "null", "[]", '"a"', "<html>", "{}"]) {
      assert.isUndefined(objects.objectFromJson(text, true), text)
    }
  })
})

describe("an event", () => {
  const read = (type: unknown, object: unknown) => objects.eventFromJson(JSON.stringify({ type, object }), false)

  it("that is a deletion is told by how it begins", () => {
    const line = (type: string) => JSON.stringify({ type, object: partial })
    assert.isTrue(objects.isDeletion(line("DELETED")))
    for (const type of ["ADDED", "MODIFIED", "BOOKMARK", "ERROR"]) assert.isFalse(objects.isDeletion(line(type)), type)
  })

  it("is decoded: the new state, the deletion, the position of the watch, and the reason of its end", () => {
    assert.deepStrictEqual(read("ADDED", partial), { _tag: "Changed", snapshot: metadata, isTracked: false })
    assert.deepStrictEqual(read("MODIFIED", partial), { _tag: "Changed", snapshot: metadata, isTracked: false })
    assert.deepStrictEqual(read("DELETED", partial), { _tag: "Deleted", snapshot: metadata, isTracked: false })
    assert.deepStrictEqual(read("BOOKMARK", { metadata: { resourceVersion: "9" } }), {
      _tag: "Bookmark",
      resourceVersion: "9"
    })
    assert.deepStrictEqual(read("ERROR", { kind: "Status", code: 410 }), { _tag: "Ended", code: 410 })
  })

  it("is not decoded if it is invalid", () => {
    for (const metadata of damaged) {
      for (const type of ["ADDED", "MODIFIED", "DELETED"]) {
        assert.isUndefined(read(type, { ...partial, metadata }), JSON.stringify(metadata))
      }
    }
    for (const type of ["ADDED", "BOOKMARK", "ERROR"]) {
      for (const object of [undefined, null, 1, "a", [], {}, { code: "410" }, { metadata: { resourceVersion: 9 } }]) {
        assert.isUndefined(read(type, object), JSON.stringify({ type, object }))
      }
    }
    for (const type of [undefined, null, 1, "", "added", "SYNC"]) assert.isUndefined(read(type, partial))
    for (const line of ["{", "1", "null", "[]"]) assert.isUndefined(objects.eventFromJson(line, false))
  })
})

describe("a list", () => {
  const item = { metadata: { ...partial.metadata, name: "a", namespace: "x" } }

  it("is decoded page by page, without what is no object", () => {
    const page = (metadata: object) =>
      objects.pageFromJson(JSON.stringify({ metadata, items: [item, 1, null, { metadata: {} }] }), false)
    const last = page({ resourceVersion: "9", continue: "" })
    assert.deepStrictEqual([last?.resourceVersion, last?.goOn], ["9", undefined])
    assert.deepStrictEqual(
      last?.items.map(({ name, namespace }) => [name, namespace]),
      [["a", "x"]]
    )
    assert.strictEqual(page({ resourceVersion: "9", continue: "more" })?.goOn, "more")
    assert.deepStrictEqual(objects.pageFromJson('{"metadata":{"resourceVersion":"1"},"items":null}', false)?.items, [])
    for (const text of ["{", "1", "{}", '{"metadata":{},"items":[]}', '{"metadata":{"resourceVersion":"1"}}']) {
      assert.isUndefined(objects.pageFromJson(text, false))
    }
  })

  it("changes by events that name their object", () => {
    const change = (type: string, object: unknown = item) =>
      objects.changeFromJson(JSON.stringify({ type, object }), false)
    assert.deepInclude(change("MODIFIED"), { name: "a", namespace: "x", isGone: false })
    assert.strictEqual(change("DELETED")?.isGone, true)
    for (const type of ["BOOKMARK", "ERROR", "SYNC"]) assert.isUndefined(change(type))
    for (const object of [null, 1, {}, { metadata: { name: 1 } }]) assert.isUndefined(change("ADDED", object))
  })
})
