/**
 * A process that blocks its event loop under a lock for longer than the TTL, with a thread of its own for the session, and prints
 * whether it still has the lock. The suite copies it into a project that has kubelock installed.
 */
import { Console, Effect, Layer } from "effect"
import { Lock, LockPolicy, ObjectStoreKubernetes, Resource } from "kubelock"
import * as SessionThread from "kubelock/SessionThread"

const LockLive = Lock.layer({ policy: LockPolicy.make({ ttl: "3 seconds", session: true }) }).pipe(
  Layer.provide(SessionThread.layer()),
  Layer.provide(ObjectStoreKubernetes.layerKubeConfig({ resource: Resource.configMap }))
)

const computes = Effect.gen(function* () {
  const { isValid } = yield* Lock.scoped("blocked")
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 7000)
  return `has the lock: ${Effect.runSync(isValid)}`
}).pipe(Effect.scoped)

await computes.pipe(
  Effect.provide(LockLive),
  Effect.catch(({ message }) => Effect.succeed(message)),
  Effect.flatMap(Console.log),
  Effect.runPromise
)
