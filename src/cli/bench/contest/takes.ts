/** How kubelock's locks are taken, and Dex's. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { threadId } from "node:worker_threads"
import type * as KubernetesClient from "../../../KubernetesClient.ts"
import * as Lock from "../../../Lock.ts"
import * as LockPolicy from "../../../LockPolicy.ts"
import * as ObjectStore from "../../../ObjectStore.ts"
import * as ObjectStoreKubernetes from "../../../ObjectStoreKubernetes.ts"
import * as Semaphore from "../../../Semaphore.ts"
import * as SharedLock from "../../../SharedLock.ts"
import * as Dex from "../../../testing/dex/Dex.ts"
import * as DexClient from "../../../testing/dex/DexClient.ts"
import type { Refusal, Take } from "./contest.ts"
import type { Task } from "./task.ts"

/** The modules of a build of kubelock. */
export interface Modules {
  readonly Lock: typeof Lock
  readonly LockPolicy: typeof LockPolicy
  readonly ObjectStore: typeof ObjectStore
  readonly ObjectStoreKubernetes: typeof ObjectStoreKubernetes
}

/** Prepares a worker to take locks. */
export type Prepare<A extends Task = Task> = (
  task: A
) => Effect.Effect<Take, { readonly message: string }, KubernetesClient.KubernetesClient | Scope.Scope>

/** What an error says of a lock that was not acquired. */
export const refuse = (error: { readonly _tag?: string; readonly message: string }): Refusal => ({
  timedOut: error._tag === "LockTimeout" || error._tag === "DexTimeout",
  message: error.message
})

const storeOf = Effect.fnUntraced(function* (
  { ids, namespace, resource }: Task,
  { make }: Pick<typeof ObjectStoreKubernetes, "make"> = ObjectStoreKubernetes
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

const tokenOf = <E extends { readonly message: string }, R>(
  held: Effect.Effect<{ readonly fencingToken: bigint }, E, R>
): Effect.Effect<bigint, Refusal, R> =>
  Effect.mapBoth(held, { onSuccess: ({ fencingToken }) => fencingToken, onFailure: refuse })

/** An exclusive lock of a build of kubelock. */
export const lockOf = Effect.fnUntraced(function* (task: Task, modules: Modules) {
  const { sharedWithDex } = task
  const store = yield* storeOf(task, modules.ObjectStoreKubernetes)
  const lock = yield* modules.Lock.make({ identity, policy: modules.LockPolicy.make({ sharedWithDex }) }).pipe(
    Effect.provideService(modules.ObjectStore.ObjectStore, store)
  )
  const take: Take = (id) => tokenOf(lock.scoped(id, again))
  return take
})

const kubelock: Prepare = (task) => lockOf(task, { Lock, LockPolicy, ObjectStore, ObjectStoreKubernetes })

const semaphore: Prepare = Effect.fnUntraced(function* (task: Task) {
  const { limit } = task
  const semaphore = yield* Semaphore.make({ identity, policy: policyOf(task) }).pipe(
    Effect.provideServiceEffect(ObjectStore.ObjectStore, storeOf(task))
  )
  const take: Take = (id) => Effect.asVoid(Effect.mapError(semaphore.take(id, { limit, ...again }), refuse))
  return take
})

const shared: Prepare = Effect.fnUntraced(function* (task: Task) {
  const lock = yield* SharedLock.make({ identity, policy: policyOf(task) }).pipe(
    Effect.provideServiceEffect(ObjectStore.ObjectStore, storeOf(task))
  )
  const take: Take = (id, isWriter) => (isWriter ? tokenOf(lock.exclusive(id, again)) : tokenOf(lock.shared(id, again)))
  return take
})

const dex: Prepare = Effect.fnUntraced(function* ({ namespace, resource }: Task) {
  const client = yield* DexClient.make({ resource, namespace })
  const take: Take = (id) => Effect.mapError(Dex.scoped(client, id), refuse)
  return take
})

/** Each kind of lock. */
export const takes = { kubelock, semaphore, shared, dex } as const

/** Opens the connection that a task uses, so that no handshake is part of the round. */
export const connect = ({ ids, namespace, resource }: Task) =>
  Effect.flatMap(DexClient.make({ resource, namespace }), (client) => client.get(ids[0]!))
