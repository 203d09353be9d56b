/** The thread of the embedded server: tells its kubeconfig, and serves until it is ended. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import { parentPort } from "node:worker_threads"
import * as ApiServer from "../src/testing/ApiServer.ts"

Effect.gen(function* () {
  const { kubeConfig } = yield* ApiServer.ApiServer
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread is no window
  parentPort!.postMessage(kubeConfig)
  return yield* Effect.never
}).pipe(Effect.provide(ApiServer.layer()), NodeRuntime.runMain)
