/** Admission webhooks on a real API server: what they deny, cannot be asked about, or change on its way. */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as KubernetesClient from "../../src/KubernetesClient.ts"
import * as Lock from "../../src/Lock.ts"
import type * as LockError from "../../src/LockError.ts"
import * as LockPolicy from "../../src/LockPolicy.ts"
import * as ObjectStoreKubernetes from "../../src/ObjectStoreKubernetes.ts"
import * as Resource from "../../src/Resource.ts"
import { makeAuthority } from "../../src/testing/envtest/Certificates.ts"
import * as Envtest from "../../src/testing/envtest/Envtest.ts"
import { serve } from "../utils/tlsServer.ts"
import { describeServers } from "./describeServers.ts"

const secret = "hunter2"

/** What each webhook answers. Its name is the path, and the label of the namespace that it looks at. */
const answers = {
  deny: { allowed: false, status: { message: `no: ${secret}` } },
  forbid: { allowed: false, status: { code: 403, reason: "Forbidden", message: `no: ${secret}` } },
  silent: { allowed: false },
  replace: {
    allowed: true,
    patchType: "JSONPatch",
    patch: Buffer.from(
      JSON.stringify([{ op: "add", path: "/metadata/annotations", value: { "example.com/owner": "webhook" } }])
    ).toString("base64")
  }
}

const service = Effect.gen(function* () {
  const authority = yield* makeAuthority
  const port = yield* serve(yield* authority.serving, (request, response) => {
    let body = ""
    request.on("data", (chunk: Buffer) => (body += chunk.toString()))
    request.on("end", () => {
      const { request: review } = JSON.parse(body) as { readonly request: { readonly uid: string } }
      const answer = answers[request.url!.split(/[/?]/)[1] as keyof typeof answers]
      response.writeHead(200, { "content-type": "application/json" })
      response.end(
        JSON.stringify({
          apiVersion: "admission.k8s.io/v1",
          kind: "AdmissionReview",
          response: { uid: review.uid, ...answer }
        })
      )
    })
  })
  return { url: `https://127.0.0.1:${port}`, caBundle: Buffer.from(authority.ca.cert).toString("base64") }
})

/** Registers a webhook for the ConfigMaps of a namespace of its own. */
const register = Effect.fnUntraced(function* (
  kind: "Validating" | "Mutating",
  name: string,
  clientConfig: { readonly url: string; readonly caBundle: string }
) {
  const api = yield* Envtest.ApiServer
  yield* api.request("POST", "/api/v1/namespaces", { metadata: { name, labels: { webhook: name } } })
  const { status } = yield* api.request(
    "POST",
    `/apis/admissionregistration.k8s.io/v1/${kind.toLowerCase()}webhookconfigurations`,
    {
      metadata: { name },
      webhooks: [
        {
          name: `${name}.example.com`,
          clientConfig,
          rules: [
            { apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE", "UPDATE"], resources: ["configmaps"] }
          ],
          namespaceSelector: { matchLabels: { webhook: name } },
          admissionReviewVersions: ["v1"],
          sideEffects: "None"
        }
      ]
    }
  )
  assert.strictEqual(status, 201)
})

const inNamespace = <A, E>(namespace: string, effect: Effect.Effect<A, E, Lock.Lock>) =>
  Effect.gen(function* () {
    const api = yield* Envtest.ApiServer
    const lock = Lock.layer({
      policy: LockPolicy.make({ waitSchedule: LockPolicy.fixedPolls("100 millis", 20) })
    }).pipe(
      Layer.provide(ObjectStoreKubernetes.layer({ resource: Resource.configMap, namespace })),
      Layer.provide(KubernetesClient.layerKubeConfigYaml(api.kubeConfig))
    )
    return yield* Effect.provide(effect, lock, { local: true })
  })

const refused = <E>(acquire: Effect.Effect<unknown, E, Lock.Lock | Scope.Scope>) => Effect.flip(Effect.scoped(acquire))

/** The error of the first acquisition that the webhook sees. An API server hears of a new webhook after a second or so. */
const refusal = (namespace: string, id: string) =>
  inNamespace(
    namespace,
    Effect.flip(Effect.scoped(Lock.tryScoped(id))).pipe(
      Effect.tapError(() => Effect.sleep("50 millis")),
      Effect.eventually
    )
  )

describeServers(
  "admission webhooks",
  (server) => {
    layer(Envtest.layer({ server, fsync: false }), { timeout: "120 seconds", excludeTestServices: true })((it) => {
      it.effect.each([
        ["deny", "LockRejected", 400],
        ["forbid", "LockForbidden", 403],
        ["silent", "LockRejected", 400]
      ] as const)("that deny are named: one that answers %s makes a %s", ([name, tag, status]) =>
        Effect.gen(function* () {
          const { caBundle, url } = yield* service
          yield* register("Validating", name, { url: `${url}/${name}`, caBundle })
          const error = yield* refusal(name, "a")
          assert.deepInclude(error, { _tag: tag, status, refusedBy: "Webhook" })
          assert.include(error.message, `the admission webhook "${name}.example.com" denied it`)
          assert.include(error.message, "Exempt the object from the webhook")
          assert.notInclude(error.message, "Grant the verb")
          assert.notInclude(error.message, secret)
        })
      )

      it.effect("that cannot be called are named, and a wait goes on", () =>
        Effect.gen(function* () {
          const { caBundle } = yield* service
          yield* register("Validating", "gone", { url: "https://127.0.0.1:1/gone", caBundle })
          const error = yield* refusal("gone", "a")
          assert.strictEqual(error._tag, "LockUnavailable")
          assert.include(error.message, `the admission webhook "gone.example.com" cannot be called`)
        })
      )

      it.effect("that replace the annotations let nobody in, and are the suspect that the error names", () =>
        Effect.gen(function* () {
          const api = yield* Envtest.ApiServer
          const { caBundle, url } = yield* service
          yield* register("Mutating", "replace", { url: `${url}/replace`, caBundle })
          const path = "/api/v1/namespaces/replace/configmaps"
          // Until the webhook is at work.
          yield* api
            .request("POST", path, { metadata: { generateName: "probe-" } })
            .pipe(Effect.repeat({ until: ({ body }) => body.metadata?.annotations !== undefined }))
          yield* api.request("POST", path, { metadata: { name: "there" } })
          for (const id of ["there", "missing"]) {
            for (const refusal of [refused(Lock.tryScoped(id)), refused(Lock.scoped(id))]) {
              const error = yield* inNamespace<LockError.LockError, unknown>("replace", refusal)
              assert.strictEqual(error._tag, "LockAltered")
              assert.include(error.message, "mutating webhook")
            }
            const left = yield* api.request("GET", `${path}/${id}`)
            assert.deepStrictEqual(left.body.metadata?.annotations, { "example.com/owner": "webhook" })
          }
        })
      )
    })
  },
  (server) => server === "kube-apiserver"
)
