/**
 * Sessions that a thread of its own renews, so that work which blocks the event loop keeps its locks.
 *
 * **When to use**
 *
 * A critical section that computes for longer than the TTL without yielding cannot renew its lock: nothing else runs on its thread. Put
 * this layer between `Lock.layer`, whose policy has `session: true`, and its store.
 *
 * **Example** (A report that takes half a minute of computing)
 *
 * ```ts
 * import { Layer } from "effect"
 * import { Lock, LockPolicy, ObjectStoreKubernetes, Resource } from "kubelock"
 * import * as SessionThread from "kubelock/SessionThread"
 *
 * const LockLive = Lock.layer({ policy: LockPolicy.make({ session: true }) }).pipe(
 *   Layer.provide(SessionThread.layer({ maxStall: "2 minutes" })),
 *   Layer.provide(ObjectStoreKubernetes.layerKubeConfig({ resource: Resource.configMap }))
 * )
 * ```
 *
 * **Details**
 *
 * - The thread (`node:worker_threads`) has a client of its own, made from the same kubeconfig. It reads tokens and certificates, and runs
 *   plugins, by itself.
 * - A lock is under the session from the moment on at which it is acquired. One that is handed over costs one write more for that.
 * - The event loop gives signs of life. The thread renews the session for as long as the last one is no older than `maxStall`.
 * - What the main thread relies on is in memory that both share. So it is right at once when the main thread goes on.
 * - The thread keeps no process alive, and ends with the layer. If it dies, the session is lost, which is told at once. The next one is
 *   opened in a new thread.
 *
 * **Gotchas**
 *
 * - A process that hangs for good keeps its locks for `maxStall` and one TTL more.
 * - The store has to be one of `ObjectStoreKubernetes`, with a client of `KubernetesClient.layerKubeConfig` or `layerKubeConfigYaml`.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { extname } from "node:path"
import { SessionThreadError } from "./internal/sessionThread/sessionThreadError.ts"
import * as thread from "./internal/sessionThread/thread.ts"
import { ObjectStore } from "./ObjectStore.ts"

export { SessionThreadError } from "./internal/sessionThread/sessionThreadError.ts"

/** The options of the thread. */
export interface Options {
  /**
   * For how long it renews sessions without a sign of life from the event loop, one minute by default. From 1 second
   * to 1 day. (Kubernetes' liveness probe, by its defaults, has a container killed after half of that.)
   */
  readonly maxStall?: Duration.Input | undefined
}

/**
 * The store in context, with sessions that a thread of its own renews. The thread ends with the scope.
 *
 * Fails with `SessionThreadError` if the thread cannot have the same client, or does not start. Throws a `RangeError` if `maxStall` is
 * outside its limits.
 */
export const make = (
  options: Options = {}
): Effect.Effect<ObjectStore["Service"], SessionThreadError, ObjectStore | Scope.Scope> => {
  const maxStall = Duration.fromInputUnsafe(options.maxStall ?? "1 minute")
  if (!Duration.between(maxStall, { minimum: Duration.seconds(1), maximum: Duration.days(1) })) {
    throw new RangeError(`SessionThread: maxStall must be from 1 second to 1 day, but is ${Duration.format(maxStall)}`)
  }
  return Effect.gen(function* () {
    const store = yield* ObjectStore
    const { sessionLeases } = store
    if (sessionLeases?.description === undefined) return yield* new SessionThreadError({ detail: indescribable })
    const { description, namespace } = sessionLeases
    const open = yield* thread.start({
      file,
      leases: description(),
      namespace,
      maxStall: Duration.toMillis(maxStall)
    })
    return ObjectStore.of({ ...store, sessionLeases: { ...sessionLeases, open } })
  })
}

const file = new URL(`internal/sessionThread/worker${extname(import.meta.url)}`, import.meta.url)

const indescribable =
  "it needs a store of ObjectStoreKubernetes, on a client of KubernetesClient.layerKubeConfig or layerKubeConfigYaml"

/** The same as a layer. */
export const layer = (options: Options = {}): Layer.Layer<ObjectStore, SessionThreadError, ObjectStore> =>
  Layer.effect(ObjectStore, make(options))
