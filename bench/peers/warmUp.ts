/**
 * What a process does before it first contends as a kind: it contends with itself, for an object of its own on the same
 * API server, until its code is compiled. Services that have run for a while are what is compared.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import type * as Scope from "effect/Scope"
import * as requests from "../../src/internal/kubernetes/encode.ts"
import { type KubeConfigError, KubernetesClient } from "../../src/KubernetesClient.ts"
import * as Resource from "../../src/Resource.ts"
import { contend } from "./contend.ts"
import { isAlone, isSlow, usesLease, type Kind } from "./kind.ts"
import { takes } from "./takes.ts"
import { now, type Task } from "./task.ts"

const longestMillis = 60_000

const lease = Resource.make({ group: "coordination.k8s.io", version: "v1", plural: "leases", kind: "Lease" })

const limits = { timeoutMillis: 15_000, maxBytes: 1 << 20 }

const warm = new Set<Kind>()

/** Warms up, once for each kind. Slow kinds and raw writes need none: a process has hardly anything to compile for them. */
export const warmUp = (
  task: Task
): Effect.Effect<void, { readonly message: string } | KubeConfigError, KubernetesClient> => {
  const { kind } = task
  if (warm.has(kind) || isAlone(kind) || isSlow(kind)) return Effect.void
  warm.add(kind)
  const own = { ...task, id: `warm-up-${kind}-${process.pid}`, holdMillis: 0, besideDex: false }
  return Effect.scoped(withItself(own)).pipe(Effect.provide(Logger.layer([])))
}

const withItself = Effect.fnUntraced(function* (
  task: Task
): Effect.fn.Return<void, { readonly message: string } | KubeConfigError, KubernetesClient | Scope.Scope> {
  const { id, kind, namespace } = task
  const client = yield* KubernetesClient
  const resource = usesLease(kind) ? lease : Resource.refreshToken
  const object = { apiVersion: Resource.apiVersion(resource), kind: resource.kind, metadata: { name: id }, spec: {} }
  yield* client.request(requests.post(Resource.collectionPath(resource, namespace), object), limits)
  const ready = yield* Effect.forEach([0, 1], (place) => takes[kind]({ ...task, place, places: 2 }))
  const contests = yield* Effect.forEach(ready, (take) => Effect.forkChild(contend(take, task).run))
  const [began, cpu] = [now(), process.cpuUsage()]
  const spent = () => {
    const { system, user } = process.cpuUsage(cpu)
    return (system + user) / 1000
  }
  while (spent() < task.warmUpCpuMillis && now() - began < longestMillis) yield* Effect.sleep("50 millis")
  yield* Fiber.interruptAll(contests)
})
