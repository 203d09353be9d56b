import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Resource from "../../src/Resource.ts"
import * as ApiServer from "../../src/testing/ApiServer.ts"
import { watch } from "./http.ts"
import { ask, json, maps, mergePatch, metadataOnly, patch, post, test, token, tokens } from "./requests.ts"

describe("reads", () => {
  describe("forms", () => {
    test(
      "return only metadata from every verb",
      Effect.gen(function* () {
        const partial = (body: { readonly kind: string; readonly apiVersion: string }) => {
          assert.strictEqual(body.kind, "PartialObjectMetadata")
          assert.strictEqual(body.apiVersion, "meta.k8s.io/v1")
          assert.deepStrictEqual(Object.keys(body).toSorted(), ["apiVersion", "kind", "metadata"])
        }
        partial((yield* post(token("a", { token: "secret" }), metadataOnly)).json)
        partial((yield* patch("a", { token: "2" }, { ...mergePatch, ...metadataOnly })).json)
        const { json: whole } = yield* ask({ path: `${tokens}/a` })
        const body = JSON.stringify({ ...whole, token: "3" })
        partial((yield* ask({ method: "PUT", path: `${tokens}/a`, headers: { ...json, ...metadataOnly }, body })).json)
        partial((yield* ask({ path: `${tokens}/a`, headers: metadataOnly })).json)
        const refused = yield* ask({ path: tokens, headers: metadataOnly })
        assert.strictEqual(refused.status, 406)
        const accept = metadataOnly.accept.replace("as=PartialObjectMetadata", "as=PartialObjectMetadataList")
        const { json: list } = yield* ask({ path: tokens, headers: { accept } })
        assert.strictEqual(list.kind, "PartialObjectMetadataList")
        partial(list.items[0]!)
        const { url } = yield* ApiServer.ApiServer
        const open = yield* watch(url, { path: `${tokens}?watch=1`, headers: metadataOnly })
        partial((yield* open.until(1))[0]!.object)
      })
    )

    test(
      "use the first acceptable clause",
      Effect.gen(function* () {
        yield* post(token("a"))
        const accept = "application/json;as=Table;v=v1;g=other, application/json"
        assert.strictEqual((yield* ask({ path: `${tokens}/a`, headers: { accept } })).json.kind, "RefreshToken")
        const other = "application/json;as=PartialObjectMetadata;v=v1;g=x"
        assert.strictEqual((yield* ask({ path: `${tokens}/a`, headers: { accept: other } })).status, 406)
      })
    )
  })

  describe("paths", () => {
    test(
      "refuse odd methods",
      Effect.gen(function* () {
        yield* post(token("a"))
        const statusOf = (method: string, path: string) => Effect.map(ask({ method, path }), ({ status }) => status)
        assert.strictEqual(yield* statusOf("HEAD", `${tokens}/a`), 200)
        assert.strictEqual(yield* statusOf("OPTIONS", `${tokens}/a`), 405)
        assert.strictEqual(yield* statusOf("PROPFIND", `${tokens}/a`), 405)
        assert.strictEqual(yield* statusOf("DELETE", "/apis/dex.coreos.com/v1/refreshtokens"), 405)
        assert.strictEqual(yield* statusOf("PUT", tokens), 400)
        assert.strictEqual(yield* statusOf("HEAD", `${maps}/a`), 405)
        assert.strictEqual(yield* statusOf("PUT", maps), 405)
        assert.strictEqual(yield* statusOf("POST", `${maps}/a`), 405)
        assert.strictEqual(yield* statusOf("POST", "/version"), 405)
      })
    )

    test(
      "decode names, and do not climb out of a collection",
      Effect.gen(function* () {
        yield* post(token("a"))
        const statusOf = (path: string) => Effect.map(ask({ path }), ({ status }) => status)
        assert.strictEqual(yield* statusOf(`${tokens}/%61`), 200)
        assert.strictEqual(yield* statusOf(`${tokens}/a/`), 200)
        assert.strictEqual(yield* statusOf(`${tokens}/x/../a`), 404)
        assert.strictEqual(yield* statusOf(`${tokens}/x/..%2fa`), 404)
        assert.strictEqual(yield* statusOf(`${tokens}/%2e%2e/refreshtokens/a`), 404)
        assert.strictEqual(yield* statusOf(`${tokens}/a%2fstatus`), 404)
        assert.strictEqual(yield* statusOf(`${tokens}//a`), 404)
        assert.strictEqual(yield* statusOf(`${tokens}/a%zz`), 400)
        assert.strictEqual(yield* statusOf("/apis/dex.coreos.com/v1/refreshtokens/a"), 404)
        assert.strictEqual(yield* statusOf("/etc/passwd"), 404)
      })
    )

    test(
      "serve health, version and discovery",
      Effect.gen(function* () {
        for (const path of ["/readyz", "/healthz", "/livez"]) assert.strictEqual((yield* ask({ path })).text, "ok")
        assert.strictEqual((yield* ask({ path: "/version" })).json["minor"], "36")
        const core = yield* ask({ path: "/api/v1" })
        assert.includeMembers(
          core.json.resources.map(({ name }) => name),
          ["configmaps", "secrets"]
        )
        assert.strictEqual((yield* ask({ path: "/apis/acme.io/v1" })).status, 404)
      })
    )

    test(
      "serve any resource, also cluster-scoped ones",
      Effect.gen(function* () {
        const path = "/apis/acme.io/v2/gates"
        const body = JSON.stringify({ apiVersion: "acme.io/v2", kind: "Gate", metadata: { name: "north" } })
        assert.strictEqual((yield* ask({ method: "POST", path, headers: json, body })).status, 201)
        const { json: gate } = yield* ask({ path: `${path}/north` })
        assert.notProperty(gate.metadata, "namespace")
        assert.strictEqual((yield* ask({ path })).json.kind, "GateList")
        const other = body.replace("Gate", "Fence")
        assert.strictEqual((yield* ask({ method: "POST", path, headers: json, body: other })).status, 422)
      })
    )

    it.effect("serve only the resources and namespaces in the options", () =>
      Effect.gen(function* () {
        assert.strictEqual((yield* post(token("a"))).status, 404)
        const create = (namespace: string) =>
          ask({
            method: "POST",
            path: Resource.collectionPath(Resource.configMap, namespace),
            headers: json,
            body: JSON.stringify({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "a" } })
          })
        assert.strictEqual((yield* create("here")).status, 201)
        assert.strictEqual((yield* create("nowhere")).json.message, `namespaces "nowhere" not found`)
        const body = JSON.stringify({ apiVersion: "v1", kind: "Namespace", metadata: { name: "nowhere" } })
        yield* ask({ method: "POST", path: "/api/v1/namespaces", headers: json, body })
        assert.strictEqual((yield* create("nowhere")).status, 201)
        const missing = yield* ask({ path: "/api/v1/namespaces/here/nothings/x" })
        assert.strictEqual(missing.json.message, "the server could not find the requested resource")
      }).pipe(Effect.provide(ApiServer.layer({ resources: [Resource.configMap], namespaces: ["here"] })))
    )
  })

  describe("selectors", () => {
    test(
      "select by labels and fields",
      Effect.gen(function* () {
        yield* post(JSON.stringify({ ...JSON.parse(token("a")), metadata: { name: "a", labels: { k: "1", l: "" } } }))
        yield* post(JSON.stringify({ ...JSON.parse(token("b")), metadata: { name: "b", labels: { k: "2" } } }))
        yield* post(token("c"))
        const names = (query: string) =>
          Effect.map(ask({ path: `${tokens}?${query}` }), ({ json }) =>
            json.items.map(({ metadata }) => metadata.name).join()
          )
        const label = (selector: string) => names(`labelSelector=${encodeURIComponent(selector)}`)
        assert.strictEqual(yield* label("k=1"), "a")
        assert.strictEqual(yield* label("k==1,l"), "a")
        assert.strictEqual(yield* label("k!=1"), "b,c")
        assert.strictEqual(yield* label("k"), "a,b")
        assert.strictEqual(yield* label("!k"), "c")
        assert.strictEqual(yield* label("k in (1, 2),!l"), "b")
        assert.strictEqual(yield* label("k notin (1)"), "b,c")
        assert.strictEqual(yield* label("k>1"), "b")
        assert.strictEqual(yield* names("fieldSelector=metadata.name%3Db"), "b")
        assert.strictEqual(yield* names("fieldSelector=metadata.name!%3Db,metadata.namespace%3Ddex"), "a,c")
        assert.strictEqual((yield* ask({ path: `${tokens}?labelSelector=a%20b` })).status, 400)
        assert.strictEqual((yield* ask({ path: `${tokens}?fieldSelector=metadata.name` })).status, 400)
        assert.strictEqual((yield* ask({ path: `/apis/dex.coreos.com/v1/refreshtokens` })).json.items.length, 3)
      })
    )
  })
})
