/** How each kind runs work under its lock, and what it does to that work if the lock is lost. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { KubernetesClient } from "../../src/KubernetesClient.ts"
import * as Lock from "../../src/Lock.ts"
import * as LockPolicy from "../../src/LockPolicy.ts"
import { ObjectStore } from "../../src/ObjectStore.ts"
import * as ObjectStoreKubernetes from "../../src/ObjectStoreKubernetes.ts"
import * as LeaderElector from "../../src/testing/clientGo/LeaderElector.ts"
import * as LeaseClient from "../../src/testing/clientGo/LeaseClient.ts"
import * as Dex from "../../src/testing/dex/Dex.ts"
import * as DexClient from "../../src/testing/dex/DexClient.ts"
import { type Elsewhere, isElsewhere } from "../contest/kind.ts"
import type { Task } from "../contest/task.ts"
import * as elsewhere from "../elsewhere/open.ts"

/** Work: `began` when the lock is held, `lost` if its holder is told that it is no longer. */
export interface Work {
  readonly began: () => void
  readonly lost: () => void
}

/** Waits for the lock, and works under it until the scope closes. */
export type UnderLock = (task: Task, work: Work) => Effect.Effect<void, unknown, KubernetesClient | Scope.Scope>

/** A kind that interrupts an effect does so at the end of the scope as well. */
const interruptible = (
  { began, lost }: Work,
  run: (effect: Effect.Effect<never>) => Effect.Effect<unknown, unknown>
): Effect.Effect<void, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const entered = yield* Deferred.make<void, unknown>()
    const effect = Effect.sync(began).pipe(
      Effect.andThen(Deferred.succeed(entered, undefined)),
      Effect.andThen(Effect.never),
      Effect.onInterrupt(() => Effect.sync(lost))
    )
    yield* Effect.forkScoped(Effect.onError(run(effect), (cause) => Deferred.failCause(entered, cause)))
    yield* Deferred.await(entered)
  })

const kubelock: UnderLock = Effect.fnUntraced(function* ({ ids, namespace, resource }, work) {
  const store = yield* ObjectStoreKubernetes.make({ resource, namespace, createIfMissing: false })
  const lock = yield* Lock.make({ policy: LockPolicy.make({ sharedWithDex: false }) }).pipe(
    Effect.provideService(ObjectStore, store)
  )
  yield* interruptible(work, (effect) => Effect.provideService(Lock.withLock(ids[0]!)(effect), Lock.Lock, lock))
})

const clientGo: UnderLock = Effect.fnUntraced(function* ({ ids, namespace }, work) {
  const { defaults, requestTimeout, run } = LeaderElector
  const api = yield* LeaseClient.make({
    namespace,
    name: ids[0]!,
    requestTimeout: requestTimeout(defaults.renewDeadline)
  })
  const options = { ...defaults, identity: crypto.randomUUID(), releaseOnCancel: true }
  yield* interruptible(work, (onStartedLeading) => run(api, options, { onStartedLeading }))
})

const dex: UnderLock = Effect.fnUntraced(function* ({ ids, namespace, resource }, { began }) {
  yield* Dex.scoped(yield* DexClient.make({ resource, namespace }), ids[0]!)
  began()
})

const onOtherServer: UnderLock = Effect.fnUntraced(function* ({ address, ids, kind, seconds }, { began, lost }) {
  const { take } = yield* Effect.promise(() => elsewhere.open(kind as Elsewhere, address ?? "", seconds))
  yield* Effect.acquireRelease(
    Effect.tryPromise(() => take(ids[0]!, lost)),
    (giveBack) => Effect.promise(giveBack)
  )
  began()
})

/** Waits for the lock of a task, and works under it until the scope closes. */
export const underLock: UnderLock = (task, work) => {
  if (isElsewhere(task.kind)) return onOtherServer(task, work)
  switch (task.kind) {
    case "kubelock":
      return kubelock(task, work)
    case "dex":
      return dex(task, work)
    case "lease-default":
      return clientGo(task, work)
    default:
      return Effect.die(`${task.kind} is not among the kinds whose holders are suspended and killed`)
  }
}
