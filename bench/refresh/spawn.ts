/** Starts threads and processes, and ends them with the scope. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { fork } from "node:child_process"
import type { EventEmitter } from "node:events"
import { Worker } from "node:worker_threads"
import { LoadError } from "../loadError.ts"
import { Job, Outcome } from "./job.ts"

const entry = new URL("serviceMain.ts", import.meta.url)
const encode = Schema.encodeSync(Schema.fromJsonString(Job))
const decode = Schema.decodeUnknownEffect(Outcome)

/** The address of a provider in a thread of its own. */
export const provider = Effect.acquireRelease(
  Effect.sync(() => new Worker(new URL("provider.ts", import.meta.url))),
  (worker) => Effect.promise(() => worker.terminate())
).pipe(
  Effect.flatMap((worker) =>
    Effect.callback<string, LoadError>((resume) => {
      worker.once("message", (url: string) => resume(Effect.succeed(url)))
      worker.once("error", (cause) => resume(Effect.fail(died("the provider", cause.message))))
    })
  )
)

/** Runs a service in a thread. */
export const thread = (job: Job) =>
  outcomeOf(
    Effect.acquireRelease(
      Effect.sync(() => new Worker(entry, { workerData: encode(job) })),
      (worker) => Effect.promise(() => worker.terminate())
    ),
    job
  )

/** Runs a service in a process. */
export const process = (job: Job) => outcomeOf(child(job), job)

/** Starts a service as a process, which is killed when the scope closes. */
export const child = (job: Job) =>
  Effect.acquireRelease(
    Effect.sync(() => fork(entry, [encode(job)])),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )

const outcomeOf = <R>(start: Effect.Effect<EventEmitter, never, R>, { service }: Job) =>
  Effect.flatMap(start, (running) =>
    Effect.callback<unknown, LoadError>((resume) => {
      running.once("message", (outcome: unknown) => resume(Effect.succeed(outcome)))
      running.once("error", (cause: Error) => resume(Effect.fail(died(service, cause.message))))
      running.once("exit", () => resume(Effect.fail(died(service, "it ended without an outcome"))))
    })
  ).pipe(Effect.flatMap((outcome) => Effect.mapError(decode(outcome), () => died(service, "its outcome is none"))))

const died = (who: string, why: string) => new LoadError({ message: `${who} failed: ${why}` })
