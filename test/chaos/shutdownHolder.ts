/**
 * A program that holds two locks until it gets a signal: `node test/chaos/shutdownHolder.ts KUBECONFIG [patient]`.
 *
 * It prints `held` when it holds them. With `patient` it runs without `Shutdown`.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Lock from "../../src/Lock.ts"
import * as ObjectStoreKubernetes from "../../src/ObjectStoreKubernetes.ts"
import * as Resource from "../../src/Resource.ts"
import * as Shutdown from "../../src/Shutdown.ts"

const [file, patient] = process.argv.slice(2)

const LockLive = Lock.layer({ identity: "shutdown" }).pipe(
  Layer.provide(ObjectStoreKubernetes.layerKubeConfig({ resource: Resource.configMap, kubeConfig: { file } }))
)

Effect.gen(function* () {
  yield* Lock.scopedAll(["a", "b"])
  yield* Console.log("held")
  return yield* Effect.never
}).pipe(
  Effect.scoped,
  Effect.provide(LockLive),
  Effect.provide(patient === undefined ? Shutdown.layer : Layer.empty),
  NodeRuntime.runMain
)
