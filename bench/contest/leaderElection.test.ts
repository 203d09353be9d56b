import { assert, layer } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as leaderElection from "./leaderElection.ts"
import * as requests from "../../src/cli/bench/harness/requests.ts"
import { KubernetesClient, layerKubeConfigYaml } from "../../src/KubernetesClient.ts"
import * as ApiServer from "../../src/testing/ApiServer.ts"

const path = "/apis/coordination.k8s.io/v1/namespaces/default/leases"

interface Lease {
  readonly spec: {
    readonly holderIdentity?: string
    readonly leaseTransitions?: number
    readonly renewTime?: string
    readonly leaseDurationSeconds?: number
  }
}

const send = Effect.fnUntraced(function* (method: "GET" | "POST", path: string, object?: object) {
  const client = yield* KubernetesClient
  const headers = { "content-type": "application/json" }
  const request = { method, path, headers, ...(object === undefined ? {} : { body: JSON.stringify(object) }) }
  const { body, status } = yield* client.request(request, { timeoutMillis: 5000, maxBytes: 1 << 20 })
  assert.isBelow(status, 300, body)
  return JSON.parse(body) as Lease
})

let leases = 0

const makeLease = Effect.gen(function* () {
  leases++
  const name = `lease-${leases}`
  yield* send("POST", path, { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata: { name }, spec: {} })
  return name
})

const read = (name: string) => Effect.map(send("GET", `${path}/${name}`), ({ spec }) => spec)

const candidate = (name: string, timings = leaderElection.fastest) =>
  leaderElection.make({ namespace: "default", name, timings })

const client = Layer.unwrap(Effect.map(ApiServer.ApiServer, ({ kubeConfig }) => layerKubeConfigYaml(kubeConfig))).pipe(
  Layer.provideMerge(ApiServer.layer())
)

layer(client, { excludeTestServices: true })("leader election", (it) => {
  it.effect("takes a free Lease with a GET and a PUT, and releases it so, too", () =>
    Effect.gen(function* () {
      const name = yield* makeLease
      const lead = yield* candidate(name)
      const before = requests.counted()
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* lead
          assert.strictEqual(requests.total(requests.since(before)), 2)
          const spec = yield* read(name)
          assert.isNotEmpty(spec.holderIdentity)
          assert.strictEqual(spec.leaseDurationSeconds, 1)
          assert.match(spec.renewTime!, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
        })
      )
      const released = yield* read(name)
      assert.isUndefined(released.holderIdentity)
      assert.strictEqual(released.leaseTransitions, 1)
    })
  )

  it.effect("lets one lead at a time, and the next one soon after", () =>
    Effect.gen(function* () {
      const name = yield* makeLease
      const [one, other] = [yield* candidate(name), yield* candidate(name)]
      const scope = yield* Scope.make()
      yield* Scope.provide(one, scope)
      const waiting = yield* Effect.forkChild(Effect.scoped(other))
      yield* Effect.sleep("200 millis")
      assert.isUndefined(waiting.pollUnsafe())
      yield* Scope.close(scope, Exit.void)
      yield* Effect.timeout(Fiber.join(waiting), "500 millis")
      assert.strictEqual((yield* read(name)).leaseTransitions, 2)
    })
  )

  it.effect("takes over from a leader that no longer renews, once its lease has passed unchanged", () =>
    Effect.gen(function* () {
      const name = yield* makeLease
      // It renews for the first time after its lease has ended.
      const dead = yield* candidate(name, { ...leaderElection.fastest, retryPeriod: Duration.seconds(60) })
      yield* Scope.provide(dead, yield* Scope.make())
      const began = performance.now()
      yield* Effect.scoped(yield* candidate(name))
      const took = performance.now() - began
      assert.isAtLeast(took, 950)
      assert.isBelow(took, 3000)
    })
  )

  it.effect("keeps a leader that renews, longer than its lease", () =>
    Effect.gen(function* () {
      const name = yield* makeLease
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* yield* candidate(name)
          const { holderIdentity } = yield* read(name)
          const rival = yield* Effect.forkChild(Effect.scoped(yield* candidate(name)))
          yield* Effect.sleep("1500 millis")
          assert.isUndefined(rival.pollUnsafe())
          assert.strictEqual((yield* read(name)).holderIdentity, holderIdentity)
          yield* Fiber.interrupt(rival)
        })
      )
    })
  )
})
