/** How each kind takes a lock. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { threadId } from "node:worker_threads"
import type * as KubernetesClient from "../../src/KubernetesClient.ts"
import * as LockPolicy from "../../src/LockPolicy.ts"
import * as ObjectStore from "../../src/ObjectStore.ts"
import * as ObjectStoreKubernetes from "../../src/ObjectStoreKubernetes.ts"
import * as Semaphore from "../../src/Semaphore.ts"
import * as SharedLock from "../../src/SharedLock.ts"
import * as LeaderElector from "../../src/testing/clientGo/LeaderElector.ts"
import * as Dex from "../../src/testing/dex/Dex.ts"
import * as DexClient from "../../src/testing/dex/DexClient.ts"
import * as elsewhere from "../elsewhere/open.ts"
import * as TakeElsewhere from "../elsewhere/take.ts"
import * as Connection from "../harness/connection.ts"
import * as Build from "./build.ts"
import type { Refusal, Take } from "./contest.ts"
import type { AnyKind, Elsewhere } from "./kind.ts"
import * as leaderElection from "./leaderElection.ts"
import * as plainClient from "./plainClient.ts"
import * as rawWrites from "./rawWrites.ts"
import * as relay from "./relay.ts"
import type { Task } from "./task.ts"

const refuse = (error: { readonly _tag?: string; readonly message: string }): Refusal => ({
  timedOut: error._tag === "LockTimeout" || error._tag === "DexTimeout",
  message: error.message
})

const refuseUnknown = (error: unknown): Refusal => refuse(error instanceof Error ? error : { message: String(error) })

const storeOf = Effect.fnUntraced(function* (
  { ids, namespace, resource }: Task,
  { make }: Pick<typeof ObjectStoreKubernetes, "make">
) {
  const store = yield* make({ resource, namespace, createIfMissing: false })
  // Watches have a connection of their own, which is opened before the round begins.
  yield* Stream.runDrain(Stream.take(store.watch(ids[0]!), 1)).pipe(Effect.timeout("5 seconds"), Effect.ignore)
  return store
})

const identity = `bench-${process.pid}-${threadId}`

const policyOf = ({ sharedWithDex }: Task) => LockPolicy.make({ sharedWithDex })

// Each contender wants the lock again at once.
const again = { releaseInBackground: true }

const kubelock = Effect.fnUntraced(function* (task: Task, modules: Build.Modules) {
  const { sharedWithDex } = task
  const store = yield* storeOf(task, modules.ObjectStoreKubernetes)
  const lock = yield* modules.Lock.make({ identity, policy: modules.LockPolicy.make({ sharedWithDex }) }).pipe(
    Effect.provideService(modules.ObjectStore.ObjectStore, store)
  )
  const take: Take = (id) => Effect.asVoid(Effect.mapError(lock.scoped(id, again), refuse))
  return take
})

const semaphore = Effect.fnUntraced(function* (task: Task) {
  const { limit } = task
  const semaphore = yield* Semaphore.make({ identity, policy: policyOf(task) }).pipe(
    Effect.provideServiceEffect(ObjectStore.ObjectStore, storeOf(task, ObjectStoreKubernetes))
  )
  const take: Take = (id) => Effect.asVoid(Effect.mapError(semaphore.take(id, { limit, ...again }), refuse))
  return take
})

const shared = Effect.fnUntraced(function* (task: Task) {
  const lock = yield* SharedLock.make({ identity, policy: policyOf(task) }).pipe(
    Effect.provideServiceEffect(ObjectStore.ObjectStore, storeOf(task, ObjectStoreKubernetes))
  )
  const take: Take = (id, isWriter) =>
    Effect.mapError(isWriter ? Effect.asVoid(lock.exclusive(id, again)) : Effect.asVoid(lock.shared(id, again)), refuse)
  return take
})

const thisBuild = (task: Task) => kubelock(task, Build.own)

const earlierBuild = Effect.fnUntraced(function* (task: Task) {
  const modules = yield* Build.load(task.before!)
  const yaml = Connection.yamlOf(task.connection)
  const client = yield* Layer.build(modules.KubernetesClient.layerKubeConfigYaml(yaml))
  return yield* Effect.provideContext(kubelock(task, modules), client)
})

const dex = Effect.fnUntraced(function* ({ namespace, resource }: Task) {
  const client = yield* DexClient.make({ resource, namespace })
  const take: Take = (id) => Effect.mapError(Dex.scoped(client, id), refuse)
  return take
})

const lease = (timings: leaderElection.Timings) =>
  Effect.fnUntraced(function* ({ ids, namespace }: Task) {
    const lead = yield* leaderElection.make({ namespace, name: ids[0]!, timings })
    const take: Take = () => lead
    return take
  })

/**
 * The package's own loops, which wait for the lock and renew it, cannot be interrupted. These loops do the same. A holder
 * name can renew one lease only, so each acquisition has a name of its own.
 */
const k8sLeaseLock = Effect.fnUntraced(function* ({ connection, namespace }: Task) {
  if (connection._tag === "KubeConfig") process.env["KUBECONFIG"] = connection.file
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

const onOtherServer = ({ address, kind, seconds }: Task) =>
  TakeElsewhere.make(() => elsewhere.open(kind as Elsewhere, address ?? "", seconds))

const boundary = (
  make: (client: plainClient.PlainClient, task: Task) => Effect.Effect<Effect.Effect<void, unknown, Scope.Scope>>
) =>
  Effect.fnUntraced(function* (task: Task) {
    const client = yield* plainClient.make(Connection.yamlOf(task.connection), {
      id: task.ids[0]!,
      namespace: task.namespace
    })
    const step = yield* make(client, task)
    const take: Take = () => Effect.mapError(step, refuseUnknown)
    return take
  })

/** Prepares a worker to take locks. */
export const takes: Readonly<
  Record<
    AnyKind,
    (task: Task) => Effect.Effect<Take, { readonly message: string }, KubernetesClient.KubernetesClient | Scope.Scope>
  >
> = {
  kubelock: thisBuild,
  "kubelock-before": earlierBuild,
  "kubelock-lease": thisBuild,
  semaphore,
  shared,
  dex,
  "lease-fast": lease(leaderElection.fastest),
  "lease-default": lease(LeaderElector.defaults),
  "k8s-lease-lock": k8sLeaseLock,
  "etcd-mutex": onOtherServer,
  etcdctl: onOtherServer,
  "redis-semaphore": onOtherServer,
  "redis-semaphore-everysec": onOtherServer,
  redlock: onOtherServer,
  "redlock-everysec": onOtherServer,
  "effect-distributed-lock": onOtherServer,
  "effect-distributed-lock-everysec": onOtherServer,
  relay: boundary(relay.make),
  raw: boundary(rawWrites.make)
}

/** Opens the connection that a task uses, so that no handshake is part of the round. */
export const connect = ({ ids, namespace, resource }: Task) =>
  Effect.flatMap(DexClient.make({ resource, namespace }), (client) => client.get(ids[0]!))
