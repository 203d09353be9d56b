import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { ask, json, jsonPatch, maps, mergePatch, patch, post, test, token, tokens } from "./requests.ts"

describe("writes", () => {
  test(
    "succeed once, if many PUTs name the same version",
    Effect.gen(function* () {
      const { json: object } = yield* post(token("a"))
      const answers = yield* Effect.forEach(
        Array.from({ length: 20 }, (_, i) => i),
        (i) =>
          ask({
            method: "PUT",
            path: `${tokens}/a`,
            headers: json,
            body: JSON.stringify({ ...object, token: String(i) })
          }),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(answers.map(({ status }) => status).toSorted(), [
        200,
        ...Array.from({ length: 19 }, () => 409)
      ])
      const winner = answers.find(({ status }) => status === 200)!
      assert.deepStrictEqual((yield* ask({ path: `${tokens}/a` })).json, winner.json)
    })
  )

  test(
    "succeed once, if many POSTs name the same object",
    Effect.gen(function* () {
      const answers = yield* Effect.forEach(Array.from({ length: 20 }), () => post(token("a")), {
        concurrency: "unbounded"
      })
      assert.strictEqual(answers.filter(({ status }) => status === 201).length, 1)
      assert.strictEqual(answers.filter(({ json }) => json.reason === "AlreadyExists").length, 19)
    })
  )

  test(
    "remove the annotation map with its last entry, so that a JSON patch below it fails",
    Effect.gen(function* () {
      yield* post(token("a"))
      const nothingThere = [{ op: "test", path: "/metadata/annotations/x", value: null }]
      assert.strictEqual((yield* patch("a", nothingThere, jsonPatch)).status, 422)
      yield* patch("a", { metadata: { annotations: { x: "1", y: "2" } } })
      yield* patch("a", { metadata: { annotations: { x: null } } })
      assert.strictEqual((yield* patch("a", nothingThere, jsonPatch)).status, 200)
      const { json: bare } = yield* patch("a", [{ op: "remove", path: "/metadata/annotations/y" }], jsonPatch)
      assert.notProperty(bare.metadata, "annotations")
      const add = [{ op: "add", path: "/metadata/annotations/z", value: "1" }]
      assert.strictEqual((yield* patch("a", add, jsonPatch)).status, 422)
      assert.strictEqual(
        (yield* patch("a", { metadata: { annotations: {} } })).json.metadata.resourceVersion,
        bare.metadata.resourceVersion
      )
    })
  )

  test(
    "count changes outside of metadata in `generation`, on custom resources only",
    Effect.gen(function* () {
      yield* post(token("a", { token: "1" }))
      assert.strictEqual((yield* patch("a", { metadata: { labels: { x: "1" } } })).json.metadata.generation, 1)
      assert.strictEqual((yield* patch("a", { token: "2" })).json.metadata.generation, 2)
      const body = JSON.stringify({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "a" } })
      const created = yield* ask({ method: "POST", path: maps, headers: json, body })
      assert.strictEqual(created.status, 201)
      assert.notProperty(created.json.metadata, "generation")
    })
  )

  test(
    "cannot change metadata that the server owns",
    Effect.gen(function* () {
      const { json: before } = yield* post(token("a"))
      const forged = { generation: 77, creationTimestamp: "2001-01-01T00:00:00Z", managedFields: [{ manager: "x" }] }
      const { json: after } = yield* patch("a", { metadata: { ...forged, uid: null } })
      assert.deepStrictEqual(after, before)
    })
  )

  test(
    "fail with invalid names, keys or values",
    Effect.gen(function* () {
      const refused = (body: object, contains: string) =>
        Effect.map(patch("a", { metadata: body }), ({ json, status }) => {
          assert.strictEqual(status, 422, contains)
          assert.strictEqual(json.reason, "Invalid")
          assert.include(json.message, contains)
        })
      yield* post(token("a"))
      yield* refused({ annotations: { n: 1 } }, "cannot unmarshal number into Go struct field ObjectMeta.annotations")
      yield* refused({ labels: "x" }, "cannot unmarshal string into Go struct field ObjectMeta.labels of type map")
      yield* refused({ finalizers: [1] }, "ObjectMeta.finalizers")
      yield* refused({ annotations: { "x y": "1" } }, `metadata.annotations: Invalid value: "x y": name part must`)
      yield* refused({ annotations: { "a/b/c": "1" } }, "a valid label key must")
      yield* refused({ annotations: { [`p/${"x".repeat(64)}`]: "1" } }, "no more than 63")
      yield* refused({ annotations: { x: "x".repeat(262_144) } }, "Too long: may not be more than 262144 bytes")
      yield* refused({ labels: { k: "a b" } }, `metadata.labels: Invalid value: "a b": a valid label must`)
      assert.strictEqual((yield* post(token("x".repeat(254)))).status, 422)
      assert.strictEqual((yield* post(token(""))).json.message.includes("name or generateName is required"), true)
      assert.strictEqual((yield* patch("a", { metadata: { annotations: { "UP.io/b": "1" } } })).status, 200)
    })
  )

  test(
    "fail with malformed bodies or unknown media types, and change nothing",
    Effect.gen(function* () {
      const { json: object } = yield* post(token("a"))
      const bodies: ReadonlyArray<readonly [string, string, Readonly<Record<string, string>>, number]> = [
        ["POST", "", json, 400],
        ["POST", "null", json, 400],
        ["POST", "[]", json, 400],
        ["POST", `{"apiVersion":`, json, 400],
        ["POST", `{"kind":"RefreshToken","apiVersion":"v9"}`, json, 400],
        ["POST", token("z"), { "content-type": "application/yaml" }, 501],
        ["POST", token("z"), { "content-type": "application/vnd.kubernetes.protobuf" }, 501],
        ["PUT", token("b"), json, 400],
        ["PUT", `{"apiVersion":"dex.coreos.com/v1","kind":"RefreshToken","metadata":{"name":1}}`, json, 400],
        ["PATCH", "", mergePatch, 400],
        ["PATCH", "[1]", mergePatch, 400],
        ["PATCH", "null", mergePatch, 400],
        ["PATCH", `{"metadata":null}`, mergePatch, 400],
        ["PATCH", `{"metadata":{"name":"b"}}`, mergePatch, 400],
        ["PATCH", `{"metadata":{"resourceVersion":"x"}}`, mergePatch, 500],
        ["PATCH", `{"kind":"Other"}`, mergePatch, 422],
        ["PATCH", `[{"op":"zap","path":"/token"}]`, jsonPatch, 400],
        ["PATCH", `[{"op":"add","path":"metadata","value":1}]`, jsonPatch, 422],
        ["PATCH", `[{"op":"remove","path":"/metadata/resourceVersion"}]`, jsonPatch, 422],
        ["PATCH", "{}", {}, 415],
        ["PATCH", "{}", { "content-type": "application/apply-patch+yaml" }, 422],
        ["PATCH", "{}", { "content-type": "application/strategic-merge-patch+json" }, 415],
        ["DELETE", "{bad", json, 400]
      ]
      for (const [method, body, headers, status] of bodies) {
        const path = method === "POST" ? tokens : `${tokens}/a`
        assert.strictEqual((yield* ask({ method, path, headers, body })).status, status, `${method} ${body}`)
      }
      assert.deepStrictEqual((yield* ask({ path: `${tokens}/a` })).json, object)
      assert.strictEqual((yield* ask({ path: tokens })).json.items.length, 1)
    })
  )

  test(
    "change nothing in a dry run",
    Effect.gen(function* () {
      const { json: object } = yield* post(token("a"))
      const path = `${tokens}/a?dryRun=All`
      const dry = yield* ask({ method: "PATCH", path, headers: mergePatch, body: `{"token":"9"}` })
      assert.strictEqual(dry.json["token"], "9")
      assert.strictEqual((yield* ask({ method: "DELETE", path })).status, 200)
      assert.deepStrictEqual((yield* ask({ path: `${tokens}/a` })).json, object)
    })
  )
})
