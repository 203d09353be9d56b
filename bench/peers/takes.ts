/** How each kind takes a lock. */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { readFileSync } from "node:fs"
import type { KubernetesClient } from "../../src/KubernetesClient.ts"
import * as Lock from "../../src/Lock.ts"
import * as LockPolicy from "../../src/LockPolicy.ts"
import { ObjectStore } from "../../src/ObjectStore.ts"
import * as ObjectStoreKubernetes from "../../src/ObjectStoreKubernetes.ts"
import * as Resource from "../../src/Resource.ts"
import type { Refusal, Take } from "../contender.ts"
import * as Dex from "../../src/testing/dex/Dex.ts"
import * as DexClient from "../../src/testing/dex/DexClient.ts"
import * as leaderElection from "./leaderElection.ts"
import type { Kind } from "./kind.ts"
import * as plainClient from "./plainClient.ts"
import * as rawWrites from "./rawWrites.ts"
import * as relay from "./relay.ts"
import type { Task } from "./task.ts"

const refuse = (error: { readonly _tag?: string; readonly message: string }): Refusal => ({
  timedOut: error._tag === "LockTimeout" || error._tag === "DexTimeout",
  message: error.message
})

const refuseUnknown = (error: unknown): Refusal => refuse(error instanceof Error ? error : { message: String(error) })

const kubelock = Effect.fnUntraced(function* ({ besideDex, id, namespace }: Task) {
  const store = yield* ObjectStoreKubernetes.make({ resource: Resource.refreshToken, namespace })
  // Watches have a connection of their own.
  yield* Stream.runDrain(Stream.take(store.watch(id), 1))
  const lock = yield* Lock.make({
    identity: `bench-${process.pid}`,
    policy: LockPolicy.make({ sharedWithDex: besideDex })
  }).pipe(Effect.provideService(ObjectStore, store))
  const take: Take = (id) => Effect.asVoid(Effect.mapError(lock.scoped(id), refuse))
  return take
})

const dex = Effect.fnUntraced(function* ({ namespace }: Task) {
  const client = yield* DexClient.make({ resource: Resource.refreshToken, namespace })
  const take: Take = (id) => Effect.mapError(Dex.scoped(client, id), refuse)
  return take
})

const lease = (timings: leaderElection.Timings) =>
  Effect.fnUntraced(function* ({ id, namespace }: Task) {
    const lead = yield* leaderElection.make({ namespace, name: id, timings })
    const take: Take = () => lead
    return take
  })

/**
 * Its own loops, which wait for the lock and renew it, cannot be interrupted; these do the same. A lease that the same
 * name renews is its only one, so that each acquisition has a name of its own.
 */
const k8sLeaseLock = Effect.fnUntraced(function* ({ kubeConfigFile, namespace }: Task) {
  process.env["KUBECONFIG"] = kubeConfigFile
  const { K8SLock } = yield* Effect.promise(() => import("@nullplatform/k8s-lease-lock"))
  const take: Take = (leaseName) =>
    Effect.gen(function* () {
      const lock = new K8SLock({
        leaseName,
        namespace,
        lockLeaserId: crypto.randomUUID(),
        leaseDurationInSeconds: 1,
        createLeaseIfNotExist: false
      })
      const attempt = Effect.tryPromise({ try: () => lock.getLock(false), catch: refuseUnknown })
      while (!(yield* Effect.uninterruptible(attempt))) yield* Effect.sleep("100 millis")
      const renew = Effect.repeat(Effect.ignore(Effect.uninterruptible(attempt)), Schedule.spaced("500 millis"))
      yield* Effect.forkScoped(Effect.delay(renew, "500 millis"))
    })
  return take
})

const limit = (
  make: (client: plainClient.PlainClient, task: Task) => Effect.Effect<Effect.Effect<void, unknown, Scope.Scope>>
) =>
  Effect.fnUntraced(function* (task: Task) {
    const client = yield* plainClient.make(readFileSync(task.kubeConfigFile, "utf8"), task)
    const step = yield* make(client, task)
    const take: Take = () => Effect.mapError(step, refuseUnknown)
    return take
  })

/** Makes ready to take locks. */
export const takes: Readonly<
  Record<Kind, (task: Task) => Effect.Effect<Take, { readonly message: string }, KubernetesClient | Scope.Scope>>
> = {
  kubelock,
  dex,
  "lease-fast": lease(leaderElection.fastest),
  "lease-default": lease(leaderElection.defaults),
  "k8s-lease-lock": k8sLeaseLock,
  relay: limit(relay.make),
  raw: limit(rawWrites.make)
}

/** Opens the connection that the task will use, so that no handshake is a part of it. */
export const connect = ({ id, namespace }: Task) =>
  Effect.flatMap(DexClient.make({ resource: Resource.refreshToken, namespace }), (client) =>
    Effect.ignore(client.get(id))
  )
