/**
 * A program that waits for a lock of some kind, holds it for a moment, and ends: `node test/chaos/waiter.ts KUBECONFIG IDENTITY KIND`.
 *
 * It prints `held` when it holds the lock.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as KubernetesClient from "../../src/KubernetesClient.ts"
import * as NodeDown from "./nodeDown.ts"
import type * as settings from "./settings.ts"

const [file = "", identity = "", kind = ""] = process.argv.slice(2)

NodeDown.aProcess(identity, kind as settings.HeldKind).pipe(
  Effect.flatten,
  Effect.andThen(Console.log("held")),
  Effect.andThen(Effect.sleep("20 millis")),
  Effect.scoped,
  Effect.provide(KubernetesClient.layerKubeConfig({ file })),
  NodeRuntime.runMain
)
