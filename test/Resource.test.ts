import { assert, describe, it } from "@effect/vitest"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Resource from "../src/Resource.ts"

describe("Resource", () => {
  it("builds the paths of the Kubernetes API", () => {
    assert.strictEqual(
      Resource.objectPath(Resource.refreshToken, "dex", "tok-a"),
      "/apis/dex.coreos.com/v1/namespaces/dex/refreshtokens/tok-a"
    )
    assert.strictEqual(Resource.collectionPath(Resource.configMap, "default"), "/api/v1/namespaces/default/configmaps")
    const node = Resource.make({ group: "", version: "v1", plural: "nodes", kind: "Node", namespaced: false })
    assert.strictEqual(Resource.objectPath(node, "default", "n1"), "/api/v1/nodes/n1")
  })

  it("is named in configuration as kubectl names it, with its version and kind if it is no preset", () => {
    const named = (text: string) => Option.getOrUndefined(Resource.fromName(text))
    assert.strictEqual(named("configmaps"), Resource.configMap)
    assert.strictEqual(named("refreshtokens.dex.coreos.com"), Resource.refreshToken)
    assert.deepStrictEqual(
      named("widgets.v1.example.com/Widget"),
      Resource.make({ group: "example.com", version: "v1", plural: "widgets", kind: "Widget" })
    )
    assert.deepInclude(named("services.v1/Service"), { group: "", version: "v1", plural: "services" })
    for (const text of [
      "",
      "widgets",
      "widgets.v1.example.com",
      "widgets/Widget",
      "Widgets.v1.example.com/Widget",
      "a.b.c/d"
    ]) {
      assert.isUndefined(named(text), text)
    }
  })

  it("accepts the names that Kubernetes accepts", () => {
    for (const name of ["a", "tok-a", "a.b-c.d", "0", "a".repeat(253)]) {
      assert.isTrue(Result.isSuccess(Resource.checkName(name)), name)
    }
  })

  it("refuses names that would lead to another URL, and invalid names", () => {
    for (const name of [
      "",
      "../x",
      "a/b",
      "a%2fb",
      "..",
      ".",
      "a..b",
      "-a",
      "a-",
      "A",
      "a_b",
      "a b",
      "é",
      "a\n",
      "a".repeat(254)
    ]) {
      assert.isTrue(Result.isFailure(Resource.checkName(name)), JSON.stringify(name))
    }
  })

  const Characters = Schema.Array(Schema.Literals(["a", "0", "-", ".", "/", "%", "?", "#", "\\", " ", "A"]))

  it.prop("never lets an id leave its collection", [Characters], ([characters]) => {
    const id = characters.join("")
    const { pathname, search, hash } = new URL(`http://x${Resource.objectPath(Resource.configMap, "default", id)}`)
    if (Result.isSuccess(Resource.checkName(id))) {
      assert.deepStrictEqual([pathname, search, hash], [`/api/v1/namespaces/default/configmaps/${id}`, "", ""])
    }
  })

  it("refuses a resource that cannot be part of a URL", () => {
    const parts = { group: "example.com", version: "v1", plural: "things", kind: "Thing" }
    assert.throws(() => Resource.make({ ...parts, group: "../.." }), RangeError)
    assert.throws(() => Resource.make({ ...parts, version: "v1/x" }), RangeError)
    assert.throws(() => Resource.make({ ...parts, plural: "" }), RangeError)
    assert.throws(() => Resource.make({ ...parts, kind: "thing" }), RangeError)
  })
})
