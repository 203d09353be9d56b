/** What the conversations with real servers do not show: how faults, watches and time take part, and what gets 501. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as TestClock from "effect/testing/TestClock"
import * as Resource from "../../src/Resource.ts"
import * as ApiServer from "../../src/testing/ApiServer.ts"
import { type Body, watch } from "./http.ts"
import { ask, json, maps, mergePatch, metadataOnly, patch, post, test, token, tokens } from "./requests.ts"

const table = { accept: "application/json;as=Table;v=v1;g=meta.k8s.io" }
const reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
const send = (method: string, path: string, body: unknown, headers: Readonly<Record<string, string>> = json) =>
  ask({ method, path, headers, body: JSON.stringify(body) })

const definition = (schema: object, more: object = {}) => ({
  metadata: { name: "gates.acme.io" },
  spec: {
    group: "acme.io",
    scope: "Namespaced",
    names: { plural: "gates", kind: "Gate" },
    versions: [{ name: "v1", served: true, storage: true, schema: { openAPIV3Schema: schema }, ...more }]
  }
})
const gates = "/apis/acme.io/v1/namespaces/dex/gates"
const gate = (name: string, more: object = {}) => ({
  kind: "Gate",
  apiVersion: "acme.io/v1",
  metadata: { name },
  ...more
})

describe("the modelled part", () => {
  test(
    "answers 501 and a sentence to what a real server can do and this one cannot",
    Effect.gen(function* () {
      yield* send("POST", maps, { metadata: { name: "a" } })
      const lacks: ReadonlyArray<readonly [string, string, unknown, Readonly<Record<string, string>>]> = [
        ["POST", maps, "a: 1", { "content-type": "application/yaml" }],
        ["GET", "/api/v1/namespaces/default/pods", undefined, {}],
        ["POST", "/apis/apps/v1/namespaces/default/deployments", {}, json],
        ["POST", "/api/v1/namespaces/default/resourcequotas", {}, json],
        ["PUT", "/api/v1/namespaces/default/finalize", {}, json],
        ["POST", definitions, definition({ type: "object", "x-kubernetes-validations": [] }), json],
        ["POST", definitions, definition({ type: "object" }, { subresources: { scale: {} } }), json],
        ...[
          { oneOf: [] },
          { type: "string", format: "ipv4" },
          { type: "string", pattern: "(?i)a\\z", default: "A" },
          { type: "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true }
        ].map((a) => ["POST", definitions, definition({ type: "object", properties: { a } }), json] as const)
      ]
      for (const [method, path, body, headers] of lacks) {
        const { json: status, status: code } = yield* send(method, path, body, headers)
        assert.strictEqual(code, 501, `${method} ${path}`)
        assert.match(status.message, /^The embedded API server .*\.$/)
        assert.strictEqual(status.reason, "NotImplemented")
      }
      assert.lengthOf((yield* ask({ path: definitions })).json.items, 0)
      for (const plural of ["resourcequotas", "limitranges"]) {
        assert.deepStrictEqual((yield* ask({ path: `/api/v1/namespaces/default/${plural}` })).json.items, [])
      }
    })
  )

  test(
    "serves a resource of Kubernetes itself as it is if it is listed",
    Effect.gen(function* () {
      const path = "/apis/apps/v1/namespaces/dex/deployments"
      const created = yield* send("POST", path, { metadata: { name: "a" }, spec: { anything: 1 } })
      assert.deepInclude(created.json, { kind: "Deployment", apiVersion: "apps/v1", spec: { anything: 1 } })
      assert.strictEqual((yield* ask({ path: maps })).status, 404)
    }),
    {
      namespaces: ["dex"],
      resources: [Resource.make({ group: "apps", version: "v1", plural: "deployments", kind: "Deployment" })]
    }
  )

  test(
    "names a kind for lists and bookmarks of a resource that nobody listed, before there is an object and after",
    Effect.gen(function* () {
      const kindOf = (plural: string) =>
        Effect.map(ask({ path: `/apis/acme.io/v1/namespaces/dex/${plural}` }), ({ json }) => json.kind)
      assert.strictEqual(yield* kindOf("gates"), "GateList")
      assert.strictEqual(yield* kindOf("policies"), "PolicyList")
      assert.strictEqual(yield* kindOf("boxes"), "BoxList")
      const { url } = yield* ApiServer.ApiServer
      const path = "/apis/acme.io/v1/namespaces/dex/boxes?watch=1&allowWatchBookmarks=true"
      const bookmark = Effect.map(watch(url, { path }), (open) => open)
      const before = yield* bookmark
      assert.deepInclude((yield* before.until(1))[0]!.object, { kind: "Box", apiVersion: "acme.io/v1" })
      yield* send("POST", "/apis/acme.io/v1/namespaces/dex/boxes", {
        kind: "BoxOfThings",
        apiVersion: "acme.io/v1",
        metadata: { name: "a" }
      })
      assert.strictEqual(yield* kindOf("boxes"), "BoxOfThingsList")
    })
  )

  test(
    "sends the columns with the first table of a watch only",
    Effect.gen(function* () {
      const { url } = yield* ApiServer.ApiServer
      yield* send("POST", maps, { metadata: { name: "a" }, data: { x: "1", y: "2" } })
      const open = yield* watch(url, { path: `${maps}?watch=1`, headers: table })
      yield* open.until(1)
      yield* TestClock.adjust("3 minutes")
      yield* send("PATCH", `${maps}/a`, { data: { y: null } }, mergePatch)
      yield* ask({ method: "DELETE", path: `${maps}/a` })
      const events = yield* open.until(3)
      assert.deepStrictEqual(
        events.map(({ object, type }) => [type, object["columnDefinitions"] !== null, rowsOf(object)]),
        [
          ["ADDED", true, [["a", 2, "0s"]]],
          ["MODIFIED", false, [["a", 1, "3m"]]],
          ["DELETED", false, [["a", 1, "3m"]]]
        ]
      )
    })
  )

  test(
    "says in a review that a request is forbidden if a fault denies it, without counting it",
    Effect.gen(function* () {
      const server = yield* ApiServer.ApiServer
      const mayPatch = Effect.map(
        send("POST", reviews, {
          spec: { resourceAttributes: { namespace: "dex", verb: "patch", resource: "configmaps", name: "a" } }
        }),
        ({ json }) => (json["status"] as { readonly allowed: boolean }).allowed
      )
      assert.isTrue(yield* mayPatch)
      const path = "/api/v1/namespaces/dex/configmaps/a"
      const when = (request: ApiServer.SeenRequest) => request.verb === "patch" && request.path === path
      const hits = yield* server.inject(ApiServer.Fault.Forbid({}), { when, times: 1 })
      assert.isFalse(yield* mayPatch)
      assert.strictEqual(yield* hits, 0)
      assert.strictEqual((yield* send("PATCH", path, {}, mergePatch)).status, 403)
      assert.isTrue(yield* mayPatch)
    })
  )

  test(
    "lists a past version exactly, and says 410 if the history does not reach back to it",
    Effect.gen(function* () {
      const server = yield* ApiServer.ApiServer
      yield* post(token("a"))
      const { json: past } = yield* ask({ path: tokens })
      const version = past.metadata.resourceVersion
      yield* patch("a", { token: "new" })
      yield* post(token("b"))
      const exact = ask({ path: `${tokens}?resourceVersion=${version}&resourceVersionMatch=Exact` })
      assert.deepStrictEqual((yield* exact).json, past)
      const latest = yield* ask({ path: `${tokens}?resourceVersion=${version}&resourceVersionMatch=NotOlderThan` })
      assert.lengthOf(latest.json.items, 2)
      const page = yield* ask({ path: `${tokens}?limit=1` })
      const next = `${tokens}?limit=1&continue=${String((page.json.metadata as { continue?: string }).continue)}`
      assert.strictEqual((yield* ask({ path: next })).json.items[0]?.metadata.name, "b")
      yield* server.compact
      yield* post(token("c"))
      assert.strictEqual((yield* exact).json.reason, "Expired")
      assert.strictEqual((yield* ask({ path: next })).status, 410)
    })
  )

  test(
    "warns of unknown fields, unless it is told to ignore them",
    Effect.gen(function* () {
      const warningOf = (query: string) =>
        Effect.map(
          send("POST", `${maps}${query}`, { metadata: { generateName: "a" }, zap: 1 }),
          ({ headers }) => headers["warning"]
        )
      assert.strictEqual(yield* warningOf(""), '299 - "unknown field \\"zap\\""')
      assert.isUndefined(yield* warningOf("?fieldValidation=Ignore"))
      const strict = yield* send("POST", `${maps}?fieldValidation=Strict`, { metadata: { name: "a" }, zap: 1 })
      assert.strictEqual(strict.status, 400)
      assert.include(strict.json.message, 'strict decoding error: unknown field "zap"')
    })
  )

  test(
    "changes the status of a custom resource through its subresource only",
    Effect.gen(function* () {
      const schema = { type: "object", "x-kubernetes-preserve-unknown-fields": true }
      yield* send("POST", definitions, definition(schema, { subresources: { status: {} } }))
      const created = yield* send("POST", gates, gate("a", { spec: { x: 1 }, status: { ready: true } }))
      assert.strictEqual(created.status, 201)
      assert.notProperty(created.json, "status")
      const change = { spec: { x: 2 }, status: { ready: true }, metadata: { labels: { a: "1" } } }
      const status = yield* send("PATCH", `${gates}/a/status`, change, mergePatch)
      assert.deepInclude(status.json, { spec: { x: 1 }, status: { ready: true } })
      assert.strictEqual(status.json.metadata.generation, 1)
      const content = yield* send("PATCH", `${gates}/a`, { ...change, status: { ready: false } }, mergePatch)
      assert.deepInclude(content.json, { spec: { x: 2 }, status: { ready: true } })
      assert.strictEqual(content.json.metadata.generation, 2)
    })
  )

  test(
    "lets the objects of a definition or of a namespace go with it",
    Effect.gen(function* () {
      yield* send("POST", definitions, definition({ type: "object", properties: { size: { type: "integer" } } }))
      yield* send("POST", gates, gate("a", { size: 1, zap: 1 }))
      yield* ask({ method: "DELETE", path: `${definitions}/gates.acme.io` })
      // Without its definition it is a resource that nobody listed, and keeps what it gets.
      assert.lengthOf((yield* ask({ path: gates })).json.items, 0)
      assert.strictEqual((yield* send("POST", gates, gate("b", { zap: 1 }))).json["zap"], 1)
      yield* send("POST", maps.replace("default", "dex"), { metadata: { name: "a" } })
      yield* ask({ method: "DELETE", path: "/api/v1/namespaces/dex" })
      assert.strictEqual((yield* ask({ path: "/api/v1/namespaces/dex" })).status, 404)
      assert.lengthOf((yield* ask({ path: "/api/v1/configmaps" })).json.items, 0)
      assert.lengthOf((yield* ask({ path: "/apis/acme.io/v1/gates" })).json.items, 0)
    })
  )

  test(
    "reads what a test puts there into its kind, and makes the namespace that it needs",
    Effect.gen(function* () {
      const server = yield* ApiServer.ApiServer
      yield* server.put(Resource.secret, "new", { metadata: { name: "a" }, stringData: { x: "1" }, zap: 1 })
      const stored = Option.getOrThrow(yield* server.get(Resource.secret, "new", "a"))
      assert.deepInclude(stored, { data: { x: "MQ==" }, type: "Opaque" })
      assert.notProperty(stored, "stringData")
      assert.notProperty(stored, "zap")
      assert.strictEqual((yield* ask({ path: "/api/v1/namespaces/new" })).status, 200)
      const misfit = server.put(Resource.secret, "new", { metadata: { name: "b" }, data: { x: 1 } })
      assert.include(String(yield* Effect.flip(Effect.sandbox(misfit))), "Secret b: json: cannot unmarshal number")
    })
  )

  test(
    "lists groups, versions and resources, one by one and in one document",
    Effect.gen(function* () {
      const aggregated = {
        accept:
          "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
      }
      yield* send("POST", definitions, definition({ type: "object" }))
      assert.deepStrictEqual((yield* ask({ path: "/api" })).json["versions"], ["v1"])
      const { json: groups } = yield* ask({ path: "/apis" })
      const names = (groups["groups"] as ReadonlyArray<{ readonly name: string }>).map(({ name }) => name)
      assert.sameMembers(names, [
        "coordination.k8s.io",
        "dex.coreos.com",
        "apiextensions.k8s.io",
        "acme.io",
        "authorization.k8s.io"
      ])
      assert.strictEqual((yield* ask({ path: "/apis/acme.io" })).json.kind, "APIGroup")
      assert.strictEqual((yield* ask({ path: "/apis/zap.io" })).status, 404)
      const { json: resources } = yield* ask({ path: "/apis/acme.io/v1" })
      assert.deepInclude(resources.resources[0], {
        name: "gates",
        kind: "Gate",
        singularName: "gate",
        namespaced: true
      })
      const core = yield* ask({ path: "/api", headers: aggregated })
      assert.include(core.headers["content-type"], "as=APIGroupDiscoveryList")
      const whole = yield* ask({ path: "/apis", headers: aggregated })
      assert.strictEqual(whole.json.apiVersion, "apidiscovery.k8s.io/v2")
      assert.sameMembers(
        whole.json.items.map(({ metadata }) => metadata.name),
        names
      )
    })
  )

  test(
    "reads what kubectl makes itself, in protobuf, and says 501 to other protobuf",
    Effect.gen(function* () {
      const field = (number: number, ...parts: ReadonlyArray<string>) => {
        const value = parts.join("")
        return String.fromCodePoint(number * 8 + 2, value.length) + value
      }
      const objectOf = (apiVersion: string, kind: string, ...fields: ReadonlyArray<string>) =>
        `k8s\0${field(1, field(1, apiVersion), field(2, kind))}${field(2, ...fields)}${field(3)}${field(4)}`
      const object = (kind: string, ...fields: ReadonlyArray<string>) => objectOf("v1", kind, ...fields)
      const headers = { "content-type": "application/vnd.kubernetes.protobuf" }
      const sendIt = (path: string, body: string) => ask({ method: "POST", path, headers, body })
      const entry = (key: string, value: string) => field(2, field(1, key), field(2, value))
      const made = yield* sendIt(
        maps,
        object("ConfigMap", field(1, field(1, "a"), field(8)), entry("x", "1"), entry("y", "2"))
      )
      assert.deepInclude(made.json, { kind: "ConfigMap", data: { x: "1", y: "2" } })
      const secret = yield* sendIt(
        maps.replace("configmaps", "secrets"),
        object("Secret", field(1, field(1, "a")), entry("x", "1"), field(3, "Opaque"))
      )
      assert.deepInclude(secret.json, { kind: "Secret", data: { x: "MQ==" } })
      const rules = yield* sendIt(
        "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
        objectOf(
          "authorization.k8s.io/v1",
          "SelfSubjectRulesReview",
          field(1, field(8)),
          field(2, field(1, "dex")),
          field(3, "\u0018\0", field(4))
        )
      )
      assert.deepInclude(rules.json.status, { incomplete: false })
      for (const body of [object("Pod", field(1, field(1, "a"))), object("ConfigMap", field(9, "a")), "k8s", "\n"]) {
        const refused = yield* sendIt(maps, body)
        assert.strictEqual(refused.json.reason, "NotImplemented", JSON.stringify(body))
        assert.include(refused.json.message, "send JSON")
      }
      // JSON would not help.
      const account = object("ServiceAccount", field(1, field(1, "a")))
      const unknown = yield* sendIt(maps.replace("configmaps", "serviceaccounts"), account)
      assert.include(unknown.json.message, "does not know serviceaccounts")
    })
  )

  test(
    "publishes OpenAPI documents, as JSON and as the protobuf that kubectl reads",
    Effect.gen(function* () {
      yield* send("POST", definitions, definition({ type: "object", properties: { size: { type: "integer" } } }))
      const { json: v2 } = yield* ask({ path: "/openapi/v2" })
      const gateOf = (schemas: unknown) => (schemas as Readonly<Record<string, object>>)["io.acme.v1.Gate"]
      const expected = {
        type: "object",
        "x-kubernetes-group-version-kind": [{ group: "acme.io", kind: "Gate", version: "v1" }]
      }
      assert.deepInclude(gateOf(v2["definitions"]), expected)
      const accept = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
      const protobuf = yield* ask({ path: "/openapi/v2", headers: { accept } })
      assert.strictEqual(protobuf.headers["content-type"], accept.replace("@", "."))
      // Field 1 of the document is the text "2.0".
      assert.isTrue(protobuf.text.startsWith("\n\u00032.0"))
      for (const text of ["io.acme.v1.Gate", "x-kubernetes-group-version-kind", "dryRun"]) {
        assert.include(protobuf.text, text)
      }
      const { json: index } = yield* ask({ path: "/openapi/v3" })
      assert.property(index["paths"], "apis/acme.io/v1")
      const { json: v3 } = yield* ask({ path: "/openapi/v3/apis/acme.io/v1" })
      assert.deepInclude(gateOf((v3["components"] as { readonly schemas: unknown }).schemas), expected)
      assert.strictEqual((yield* ask({ path: "/openapi/v3/apis/zap.io/v1" })).status, 404)
    })
  )

  it.effect("asks for the metadata of a collection that is deleted", () =>
    Effect.gen(function* () {
      yield* send("POST", maps, { metadata: { name: "a" } })
      const accept = metadataOnly.accept.replace("as=PartialObjectMetadata", "as=PartialObjectMetadataList")
      const gone = yield* ask({ method: "DELETE", path: maps, headers: { accept } })
      assert.strictEqual(gone.json.kind, "PartialObjectMetadataList")
      assert.strictEqual(gone.json.items[0]?.kind, "PartialObjectMetadata")
    }).pipe(Effect.provide(ApiServer.layer()))
  )
})

const rowsOf = (object: Body) =>
  (object["rows"] as ReadonlyArray<{ readonly cells: ReadonlyArray<unknown> }>).map(({ cells }) => cells)
