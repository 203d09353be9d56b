import { assert, describe, it } from "@effect/vitest"
import * as encode from "../../../src/internal/kubernetes/encode.ts"

const operations = (patch: Parameters<typeof encode.patch>[1]) =>
  (JSON.parse(encode.patch("/path", patch, false).body ?? "") as ReadonlyArray<{ op: string; path: string }>).map(
    ({ op, path }) => `${op} ${path.replace("/metadata/annotations/", "")}`
  )

describe("a JSON patch", () => {
  it("removes a key with one operation if its precondition shows that it is there, and else adds it first", () => {
    assert.deepStrictEqual(
      operations({
        expect: { annotations: { exact: "a", any: true, absent: false } },
        annotations: { exact: null, any: null, absent: null, other: null, set: "b" }
      }),
      [
        "test exact",
        "move any",
        "test absent",
        "remove exact",
        "remove any",
        "add absent",
        "remove absent",
        "add other",
        "remove other",
        "add set"
      ]
    )
  })
})
