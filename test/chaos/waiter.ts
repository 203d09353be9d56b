/**
 * A program that waits for a lock, holds it for a moment, and ends: `node test/chaos/waiter.ts KUBECONFIG IDENTITY`.
 *
 * It prints `held` when it holds the lock.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Lock from "../../src/Lock.ts"
import * as LockPolicy from "../../src/LockPolicy.ts"
import * as ObjectStoreKubernetes from "../../src/ObjectStoreKubernetes.ts"
import * as Resource from "../../src/Resource.ts"

const [file, identity] = process.argv.slice(2)

const LockLive = Lock.layer({
  identity,
  policy: LockPolicy.make({ waitSchedule: LockPolicy.fixedPolls("1 second", 300) })
}).pipe(Layer.provide(ObjectStoreKubernetes.layerKubeConfig({ resource: Resource.configMap, kubeConfig: { file } })))

Effect.andThen(Console.log("held"), Effect.sleep("20 millis")).pipe(
  Lock.withLock("a"),
  Effect.provide(LockLive),
  NodeRuntime.runMain
)
