/**
 * A process that waits for a lock, prints its fencing token, and holds it until its standard input ends or it gets a signal:
 * `holder.ts NAME`. The suite copies it into a project that has kubelock installed.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Layer, Schedule } from "effect"
import { Lock, LockPolicy, ObjectStoreKubernetes, Resource } from "kubelock"

// If the lock were not handed over, or the watch were silent, the next holder would have to wait for an hour.
const policy = LockPolicy.make({ ttl: "1 hour", waitSchedule: Schedule.spaced("1 hour") })

const LockLive = Lock.layer({ identity: process.argv[2]!, policy }).pipe(
  Layer.provide(ObjectStoreKubernetes.layerKubeConfig({ resource: Resource.configMap }))
)

const endOfInput = Effect.callback<void>((resume) => {
  process.stdin.resume().once("end", () => resume(Effect.void))
})

Effect.gen(function* () {
  const { fencingToken } = yield* Lock.scoped("hand-over")
  yield* Console.log(String(fencingToken))
  yield* endOfInput
}).pipe(Effect.scoped, Effect.provide(LockLive), NodeRuntime.runMain)
