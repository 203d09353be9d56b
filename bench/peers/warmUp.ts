/**
 * What a process does before it first contends as a kind: it contends with itself, on an API server of its own that
 * costs nobody else a request, until its code is compiled. Services that have run for a while are what is compared.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Layer from "effect/Layer"
import { KubernetesClient, layerKubeConfigYaml } from "../../src/KubernetesClient.ts"
import * as Resource from "../../src/Resource.ts"
import * as ApiServer from "../../src/testing/ApiServer.ts"
import { contend } from "./contend.ts"
import { isSlow, type Kind, usesLease } from "./kind.ts"
import { takes } from "./takes.ts"
import { now } from "./task.ts"

const cpuMillis = 400
const longestMillis = 15_000

const namespace = "default"
const id = "warm-up"

const lease = Resource.make({ group: "coordination.k8s.io", version: "v1", plural: "leases", kind: "Lease" })

const warm = new Set<Kind>()

/** Warms up, once for each kind. Raw writes and slow kinds need none: a process has nothing to compile for them. */
export const warmUp = (kind: Kind): Effect.Effect<void, { readonly message: string }> => {
  if (warm.has(kind) || kind === "raw" || isSlow(kind)) return Effect.void
  warm.add(kind)
  const client = Layer.unwrap(
    Effect.map(ApiServer.ApiServer, ({ kubeConfig }) => layerKubeConfigYaml(kubeConfig))
  ).pipe(Layer.provide(ApiServer.layer()))
  return Effect.scoped(withItself(kind)).pipe(Effect.provide(client, { local: true }))
}

const withItself = Effect.fnUntraced(function* (kind: Kind) {
  const { execute } = yield* KubernetesClient
  const resource = usesLease(kind) ? lease : Resource.refreshToken
  const object = { apiVersion: Resource.apiVersion(resource), kind: resource.kind, metadata: { name: id }, spec: {} }
  const made = yield* execute(
    HttpClientRequest.post(Resource.collectionPath(resource, namespace)).pipe(
      HttpClientRequest.bodyText(JSON.stringify(object), "application/json")
    )
  )
  yield* made.text
  const task = {
    kind,
    kubeConfigFile: "",
    namespace,
    id,
    holdMillis: 0,
    besideDex: false,
    seconds: 0,
    settleSeconds: 0
  }
  const rivals = yield* Effect.forEach([1, 2], () =>
    Effect.flatMap(takes[kind](task), (take) => Effect.forkChild(contend(take, task).run))
  )
  const [began, cpu] = [now(), process.cpuUsage()]
  const spent = () => {
    const { system, user } = process.cpuUsage(cpu)
    return (system + user) / 1000
  }
  while (spent() < cpuMillis && now() - began < longestMillis) yield* Effect.sleep("50 millis")
  yield* Fiber.interruptAll(rivals)
})
