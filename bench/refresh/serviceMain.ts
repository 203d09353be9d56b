/** The entry of a service, as a thread (`workerData`) or as a process (its first argument). It answers with a message. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { parentPort, workerData } from "node:worker_threads"
import { Job, Outcome } from "./job.ts"
import * as Service from "./service.ts"

Schema.decodeUnknownEffect(Schema.fromJsonString(Job))(parentPort === null ? process.argv[2] : workerData).pipe(
  Effect.flatMap(Service.run),
  Effect.flatMap(Schema.encodeEffect(Outcome)),
  Effect.flatMap((outcome) =>
    Effect.sync(() => {
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread is no window
      if (parentPort !== null) parentPort.postMessage(outcome)
      else process.send!(outcome, () => process.disconnect())
    })
  ),
  NodeRuntime.runMain
)
