/**
 * A program that holds two locks until it gets a signal: `node test/chaos/shutdownHolder.ts KUBECONFIG [patient|child]`.
 *
 * It prints `held` when it holds them. With `patient` it runs without `Shutdown`. With `child` a child of the main fiber
 * holds them: the layers close first, and the child is interrupted afterwards.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Lock from "../../src/Lock.ts"
import * as ObjectStoreKubernetes from "../../src/ObjectStoreKubernetes.ts"
import * as Resource from "../../src/Resource.ts"
import * as Shutdown from "../../src/Shutdown.ts"

const [file, mode] = process.argv.slice(2)

const LockLive = Lock.layer({ identity: "shutdown" }).pipe(
  Layer.provide(ObjectStoreKubernetes.layerKubeConfig({ resource: Resource.configMap, kubeConfig: { file } }))
)

const hold = Effect.gen(function* () {
  yield* Lock.scopedAll(["a", "b"])
  yield* Console.log("held")
  return yield* Effect.never
}).pipe(Effect.scoped)

const main = mode === "child" ? Effect.andThen(Effect.forkChild(hold), Effect.never) : hold

main.pipe(
  Effect.provide(LockLive),
  Effect.provide(mode === "patient" ? Layer.empty : Shutdown.layer),
  NodeRuntime.runMain
)
