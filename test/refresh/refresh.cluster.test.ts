/** The example's manifest under RBAC, on a real API server. */
import { assert, layer } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { join } from "node:path"
import * as Schedule from "effect/Schedule"
import * as KubernetesClient from "../../src/KubernetesClient.ts"
import * as ObjectStoreKubernetes from "../../src/ObjectStoreKubernetes.ts"
import * as RefreshOnce from "../../src/RefreshOnce.ts"
import * as Resource from "../../src/Resource.ts"
import { Envtest } from "../../src/testing/index.ts"
import { describeServers } from "../cluster/describeServers.ts"
import * as serviceAccount from "../cluster/serviceAccount.ts"
import { generationOf, Token, token } from "./fixture.ts"

const suite = (server: Envtest.Server) =>
  layer(Envtest.layer({ server, fsync: false }), { timeout: "120 seconds", excludeTestServices: true })((it) => {
    it.effect("the example's manifest grants what the service needs, and no more", () =>
      Effect.gen(function* () {
        const manifest = join(import.meta.dirname, "../../docs/examples/token-service/manifest.yaml")
        const kubeConfig = yield* serviceAccount.kubeConfigOf("token-service", "default", manifest)
        yield* Effect.gen(function* () {
          const tokens = yield* RefreshOnce.make({
            location: RefreshOnce.inSecret("token"),
            namespace: "default",
            schema: Token,
            isFresh: ({ expiresAt }) => DateTime.isFuture(expiresAt),
            refresh: () => token(1)
          })
          assert.strictEqual(generationOf(yield* tokens.get("upstream-token")), 1)
          const other = yield* Effect.flip(tokens.get("token-service"))
          assert.strictEqual(other._tag, "LockForbidden")
        }).pipe(Effect.scoped, Effect.provide(KubernetesClient.layerKubeConfigYaml(kubeConfig)))
      })
    )

    it.effect("keys that others add or remove during the upstream call stay so, and the answer is written", () =>
      Effect.gen(function* () {
        const { api, secret, tokens, upstream } = yield* aSecret("keys")
        upstream.during = api.request("PATCH", secret, { data: { other: "dGhlaXJz" } })
        yield* tokens.get("keys")
        const first = yield* api.request("GET", secret)
        assert.hasAllKeys(dataOf(first.body), ["other", "value"])
        upstream.during = api.request("PATCH", secret, { data: null })
        yield* tokens.get("keys")
        const second = yield* api.request("GET", secret)
        assert.hasAllKeys(dataOf(second.body), ["value"])
        assert.deepStrictEqual(upstream.spent, [undefined, 1])
      }).pipe(Effect.scoped)
    )

    it.effect("a Secret that is deleted during the upstream call is made again with the answer", () =>
      Effect.gen(function* () {
        const { api, secret, tokens, upstream } = yield* aSecret("deleted")
        upstream.during = api.request("DELETE", secret)
        assert.strictEqual(generationOf(yield* tokens.get("deleted")), 1)
        assert.hasAllKeys(dataOf((yield* api.request("GET", secret)).body), ["value"])
      }).pipe(Effect.scoped)
    )

    it.effect("an immutable Secret is found out before the upstream is asked, by its word and by the dry run", () =>
      Effect.gen(function* () {
        const { api, secret, store, tokens, upstream } = yield* aSecret("immutable")
        yield* tokens.get("immutable")
        yield* api.request("PATCH", secret, { immutable: true })
        const error = yield* Effect.flip(tokens.get("immutable"))
        assert.strictEqual(error._tag, "RefreshNotWritable")
        assert.deepStrictEqual(upstream.spent, [undefined])
        yield* store.compareAndSwap("immutable", {
          expect: { resourceVersion: (yield* store.read("immutable")).resourceVersion },
          annotations: { "example.com/a": "1" }
        })
        const patch = { expect: { annotations: { "example.com/a": "1" } }, annotations: {} }
        const content = [{ path: ["data", "value"], value: "bmV3" }] as const
        const denied = yield* Effect.flip(store.dryRun("immutable", { ...patch, content }))
        assert.deepInclude(denied, { _tag: "LockRejected", status: 422 })
      }).pipe(Effect.scoped)
    )

    it.effect("a field that the schema of a CRD does not have is found out before the upstream is asked", () =>
      Effect.gen(function* () {
        const api = yield* Envtest.ApiServer
        const group = "pruned.example.com"
        const crd = {
          apiVersion: "apiextensions.k8s.io/v1",
          kind: "CustomResourceDefinition",
          metadata: { name: `values.${group}` },
          spec: {
            group,
            scope: "Namespaced",
            names: { plural: "values", singular: "value", kind: "Value" },
            versions: [
              {
                name: "v1",
                served: true,
                storage: true,
                schema: { openAPIV3Schema: { type: "object", properties: { known: { type: "string" } } } }
              }
            ]
          }
        }
        yield* api.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd)
        const path = `/apis/${group}/v1/namespaces/default/values`
        yield* Effect.repeat(api.request("GET", path), {
          until: ({ status }) => status === 200,
          schedule: Schedule.spaced("100 millis")
        })
        const object = { apiVersion: `${group}/v1`, kind: "Value", metadata: { name: "v" } }
        assert.strictEqual((yield* api.request("POST", path, object)).status, 201)
        const resource = Resource.make({ group, version: "v1", plural: "values", kind: "Value" })
        let asked = 0
        const at = (field: string) =>
          RefreshOnce.make({
            namespace: "default",
            location: { resource, path: [field], createIfMissing: false },
            schema: Token,
            isFresh: () => Effect.succeed(true),
            refresh: () => Effect.suspend(() => token(++asked))
          })
        yield* Effect.gen(function* () {
          const error = yield* Effect.flip((yield* at("unknown")).get("v"))
          assert.isTrue(error._tag === "RefreshNotWritable" && error.reason._tag === "LockAltered", String(error))
          assert.strictEqual(asked, 0)
          assert.strictEqual(generationOf(yield* (yield* at("known")).get("v")), 1)
        }).pipe(Effect.scoped, Effect.provide(KubernetesClient.layerKubeConfigYaml(api.kubeConfig)))
      })
    )

    it.effect("a dry run applies nothing, and shows what would be", () =>
      Effect.gen(function* () {
        const { store } = yield* aSecret("dry")
        const before = yield* store.read("dry")
        const patch = { expect: { annotations: { "example.com/made": "1" } }, annotations: {} }
        const whole = [{ path: ["data"], value: { value: "bmV3" } }] as const
        const answer = yield* store.dryRun("dry", { ...patch, content: whole })
        assert.isTrue(answer._tag === "Accepted" && dataOf(answer.snapshot.content)["value"] === "bmV3")
        const inner = [{ path: ["data", "value"], value: "bmV3" }] as const
        assert.strictEqual((yield* store.dryRun("dry", { ...patch, content: inner }))._tag, "Refused")
        assert.deepStrictEqual(yield* store.read("dry"), before)
      }).pipe(Effect.scoped)
    )
  })

const dataOf = (object: unknown) => (object as { readonly data: Readonly<Record<string, string>> }).data

/** A Secret without data, and a value in it that is never fresh. `during` runs while the upstream is asked. */
const aSecret = Effect.fnUntraced(function* (name: string) {
  const api = yield* Envtest.ApiServer
  const secrets = "/api/v1/namespaces/default/secrets"
  const metadata = { name, annotations: { "example.com/made": "1" } }
  const made = yield* api.request("POST", secrets, { apiVersion: "v1", kind: "Secret", metadata })
  assert.strictEqual(made.status, 201, JSON.stringify(made.body))
  const upstream: { during: Effect.Effect<unknown, unknown>; readonly spent: Array<number | undefined> } = {
    during: Effect.void,
    spent: []
  }
  const context = yield* Layer.build(KubernetesClient.layerKubeConfigYaml(api.kubeConfig))
  const tokens = yield* RefreshOnce.make({
    namespace: "default",
    schema: Token,
    isFresh: () => Effect.succeed(false),
    refresh: (current) =>
      Effect.gen(function* () {
        upstream.spent.push(Option.getOrUndefined(Option.map(current, generationOf)))
        yield* Effect.orDie(upstream.during)
        return yield* token(upstream.spent.length)
      })
  }).pipe(Effect.provide(context))
  const store = yield* ObjectStoreKubernetes.make({
    resource: Resource.secret,
    namespace: "default",
    content: true
  }).pipe(Effect.provide(context))
  return { api, secret: `${secrets}/${name}`, store, tokens, upstream }
})

describeServers("refreshing once", suite, (server) => server === "kube-apiserver")
