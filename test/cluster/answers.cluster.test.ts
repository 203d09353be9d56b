/** What real API servers answer while they start, when they refuse, and when an object is full. */
import { assert, layer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as KubernetesClient from "../../src/KubernetesClient.ts"
import * as Lock from "../../src/Lock.ts"
import * as LockPolicy from "../../src/LockPolicy.ts"
import * as ObjectStoreKubernetes from "../../src/ObjectStoreKubernetes.ts"
import * as Resource from "../../src/Resource.ts"
import * as Envtest from "../../src/testing/envtest/Envtest.ts"
import { describeServers } from "./describeServers.ts"

const user = { name: "service", groups: ["services"] }
const rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/dex"
const configMaps = "/api/v1/namespaces/dex/configmaps"
const apiGroup = "rbac.authorization.k8s.io"

/** A Role for the user, who is no administrator. */
const allow = Effect.gen(function* () {
  const api = yield* Envtest.ApiServer
  yield* api.request("POST", `${rbac}/roles`, {
    metadata: { name: "kubelock" },
    rules: [
      {
        apiGroups: ["", "dex.coreos.com"],
        resources: ["configmaps", "refreshtokens"],
        verbs: ["get", "create", "patch"]
      }
    ]
  })
  yield* api.request("POST", `${rbac}/rolebindings`, {
    metadata: { name: "kubelock" },
    subjects: [{ kind: "User", name: user.name, apiGroup }],
    roleRef: { apiGroup, kind: "Role", name: "kubelock" }
  })
})

const patient = LockPolicy.make({ waitSchedule: LockPolicy.fixedPolls("100 millis", 900) })

/** Runs an effect with the lock of the user. */
const asUser = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  options: Omit<ObjectStoreKubernetes.Options, "resource"> & { readonly resource?: Resource.Resource } = {}
) =>
  Effect.gen(function* () {
    const api = yield* Envtest.ApiServer
    const client = KubernetesClient.layerKubeConfigYaml(yield* api.kubeConfigFor(user))
    const store = ObjectStoreKubernetes.layer({ resource: Resource.configMap, namespace: "dex", ...options })
    return yield* Effect.provide(
      effect,
      Lock.layer({ policy: patient }).pipe(Layer.provide(store), Layer.provide(client)),
      { local: true }
    )
  })

describeServers(
  "the answers",
  (server) =>
    layer(Envtest.layer({ server, fsync: false }), { timeout: "120 seconds", excludeTestServices: true })((it) => {
      it.effect("of a server without a Role are believed within seconds, and then name the missing right", () =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(Effect.timeout(asUser(Effect.scoped(Lock.scoped("none"))), "30 seconds"))
          assert.deepInclude(error, { _tag: "LockForbidden", refusedBy: "Authorizer" })
          assert.match(error.message, /: User "service" cannot .*\. Grant the verb in a Role\.$/)
        })
      )

      it.effect("of a server that restarts end no wait, though it forbids everything for a moment", () =>
        Effect.gen(function* () {
          yield* allow
          const api = yield* Envtest.ApiServer
          yield* api.request("POST", "/apis/dex.coreos.com/v1/namespaces/dex/refreshtokens", {
            apiVersion: "dex.coreos.com/v1",
            kind: "RefreshToken",
            metadata: { name: "t" }
          })
          const isRunning = yield* Deferred.make<void>()
          for (const resource of [Resource.configMap, Resource.refreshToken]) {
            const busy = Effect.andThen(
              Lock.withLock("t")(Deferred.succeed(isRunning, undefined)),
              Effect.sleep("5 millis")
            )
            const service = yield* Effect.forkChild(
              asUser(Effect.scoped(Effect.forever(busy)), { resource }).pipe(Effect.provide(Logger.layer([])))
            )
            yield* Deferred.await(isRunning)
            yield* api.restart("SIGKILL")
            yield* Effect.sleep("1 second")
            assert.isUndefined(service.pollUnsafe())
            yield* Fiber.interrupt(service)
          }
        })
      )

      it.effect("name a quota and a namespace that is being deleted", () =>
        Effect.gen(function* () {
          const api = yield* Envtest.ApiServer
          const attempt = (namespace: string) =>
            Effect.flip(Lock.tryScoped("one-too-many")).pipe(
              Effect.provide(
                Lock.layer().pipe(
                  Layer.provide(ObjectStoreKubernetes.layer({ resource: Resource.configMap, namespace })),
                  Layer.provide(KubernetesClient.layerKubeConfigYaml(api.kubeConfig))
                ),
                { local: true }
              )
            )
          const hard = { "count/configmaps": "0" }
          yield* api.request("POST", "/api/v1/namespaces", { metadata: { name: "full" } })
          yield* api.request("POST", "/api/v1/namespaces/full/resourcequotas", {
            metadata: { name: "q" },
            spec: { hard }
          })
          yield* api.request("PATCH", "/api/v1/namespaces/full/resourcequotas/q/status", {
            status: { hard, used: { "count/configmaps": "0" } }
          })
          yield* api.request("POST", "/api/v1/namespaces", { metadata: { name: "dying" } })
          yield* api.request("DELETE", "/api/v1/namespaces/dying")
          yield* Effect.sleep("1 second")
          const full = yield* attempt("full")
          assert.deepInclude(full, { _tag: "LockForbidden", refusedBy: "Quota" })
          assert.match(
            full.message,
            /: exceeded quota: q, .*\. Delete objects that nobody needs, or raise the quota\.$/
          )
          const dying = yield* attempt("dying")
          assert.deepInclude(dying, { _tag: "LockForbidden", refusedBy: "Terminating" })
          assert.match(
            dying.message,
            /: the namespace dying is being deleted\. Use a namespace that is not being deleted\.$/
          )
          assert.deepInclude(yield* attempt("nowhere"), { _tag: "LockNotFound", missing: "namespace" })
        }).pipe(Effect.scoped)
      )

      it.effect("of an object whose annotations are full cost a waiter its place in the queue, and no more", () =>
        Effect.gen(function* () {
          const api = yield* Envtest.ApiServer
          const lines: Array<string> = []
          const keep = Logger.make(({ message }) => {
            lines.push(String(message))
          })
          // As much as leaves room for the lock itself.
          const annotations = { "example.com/big": "x".repeat(262_144 - 15 - 150) }
          yield* api.request("POST", configMaps, { metadata: { name: "nearly-full", annotations } })
          const held = yield* Deferred.make<void>()
          const letGo = yield* Deferred.make<void>()
          const holder = yield* Effect.forkChild(
            asUser(
              Lock.withLock("nearly-full")(Effect.andThen(Deferred.succeed(held, undefined), Deferred.await(letGo)))
            )
          )
          yield* Deferred.await(held)
          const waiter = yield* Effect.forkChild(
            asUser(Lock.withLock("nearly-full")(Effect.void)).pipe(Effect.provide(Logger.layer([keep])))
          )
          yield* Effect.sleep("2 seconds")
          assert.isUndefined(waiter.pollUnsafe())
          yield* Deferred.succeed(letGo, undefined)
          yield* Fiber.join(waiter)
          yield* Fiber.join(holder)
          assert.match(lines.join(), /without a place in the queue.*256 KiB/)
        })
      )
    }),
  (server) => server === "kube-apiserver"
)
