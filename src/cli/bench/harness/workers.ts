/**
 * Threads and processes that answer questions: Effect's workers, with questions and answers sent as they are.
 *
 * A question may carry memory that threads share. It may not carry functions or class instances.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeWorker from "@effect/platform-node/NodeWorker"
import * as NodeWorkerRunner from "@effect/platform-node/NodeWorkerRunner"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import * as Worker from "effect/workers/Worker"
import { isWorkerError } from "effect/workers/WorkerError"
import * as WorkerRunner from "effect/workers/WorkerRunner"
import { type ChildProcess, fork } from "node:child_process"
import { isMainThread, parentPort, Worker as Thread } from "node:worker_threads"
import { LoadError } from "./loadError.ts"

interface Question {
  readonly number: number
  readonly question: unknown
}

type Answer =
  | { readonly number: number; readonly answer: unknown }
  | { readonly number: number; readonly problem: string }

/** Asks a worker. It may be asked again before it has answered. */
export type Ask<Q, A> = (question: Q) => Effect.Effect<A, LoadError>

/** A thread that runs a file. */
export const thread = (file: URL): Thread => new Thread(file)

/** How a process runs: its own standard error, where it logs, may be piped. */
export interface ProcessOptions {
  readonly args?: ReadonlyArray<string> | undefined
  readonly nodeFlags?: ReadonlyArray<string> | undefined
  readonly stderr?: "inherit" | "pipe" | undefined
}

/** A process that runs a file. */
export const process = (
  file: URL,
  { args = [], nodeFlags = [], stderr = "inherit" }: ProcessOptions = {}
): ChildProcess =>
  fork(file, [...args], {
    serialization: "advanced",
    execArgv: [...nodeFlags],
    stdio: ["ignore", "ignore", stderr, "ipc"]
  })

/**
 * Starts a worker, which ends with the scope. Each question fails if the worker fails at it, or ends.
 *
 * A worker has time to clean up after itself, unless it still loads its code or `isExpendable`: then it is killed.
 */
export const start = Effect.fnUntraced(function* <Q, A>(
  name: string,
  spawn: () => Thread | ChildProcess,
  isExpendable = () => false
): Effect.fn.Return<Ask<Q, A>, never, Scope.Scope> {
  const failed = (detail: string) => new LoadError({ message: `${name} failed: ${detail}` })
  let spawned: Thread | ChildProcess | undefined
  let isLoaded = false
  const worker = yield* Effect.flatMap(Worker.WorkerPlatform, (platform) => platform.spawn<Answer, Question>(0)).pipe(
    Effect.provide(NodeWorker.layer(() => (spawned = spawn()))),
    Effect.orDie
  )
  const asked = new Map<number, Deferred.Deferred<A, LoadError>>()
  const ended = yield* Deferred.make<never, LoadError>()
  const settle = (answer: Answer) =>
    Effect.suspend(() => {
      const question = asked.get(answer.number)
      asked.delete(answer.number)
      if (question === undefined) return Effect.void
      return "problem" in answer
        ? Deferred.fail(question, new LoadError({ message: answer.problem }))
        : Deferred.succeed(question, answer.answer as A)
    })
  yield* worker.run(settle, { onSpawn: Effect.sync(() => (isLoaded = true)) }).pipe(
    Effect.catchCause((cause) => Deferred.fail(ended, failed(messageOf(Cause.squash(cause))))),
    Effect.forkScoped({ startImmediately: true })
  )
  yield* Effect.addFinalizer(() =>
    Effect.promise(async () => {
      if (spawned !== undefined && (!isLoaded || isExpendable())) await kill(spawned)
    })
  )
  let number = 0
  return (question) =>
    Effect.suspend(() => {
      const own = ++number
      const answer = Deferred.makeUnsafe<A, LoadError>()
      asked.set(own, answer)
      return Effect.andThen(
        Effect.mapError(worker.send({ number: own, question }), ({ message }) => failed(message)),
        Effect.raceFirst(Deferred.await(answer), Deferred.await(ended))
      )
    })
})

const kill = (worker: Thread | ChildProcess): unknown =>
  "terminate" in worker ? worker.terminate() : worker.kill("SIGKILL")

/** The message of the error that a worker threw, rather than of the event that reports it. */
const messageOf = (error: unknown): string => {
  const thrown = isWorkerError(error) ? (error.reason.cause ?? error) : error
  return thrown instanceof Error ? thrown.message : String(thrown)
}

/** In a worker: answers questions until the parent asks it to end. */
export const serve = Effect.fnUntraced(function* <Q, A, R>(
  answer: (question: Q) => Effect.Effect<A, { readonly message: string }, R>
) {
  const platform = yield* WorkerRunner.WorkerRunnerPlatform
  const runner = yield* platform.start<Answer, Question>()
  yield* runner.run((port, { number, question }) =>
    answer(question as Q).pipe(
      Effect.match({
        onSuccess: (answer): Answer => ({ number, answer }),
        onFailure: ({ message }): Answer => ({ number, problem: message })
      }),
      Effect.catchDefect((defect) => Effect.succeed<Answer>({ number, problem: String(defect) })),
      Effect.flatMap((sent) => runner.send(port, sent))
    )
  )
})

/** Runs the program of a worker, and then ends the worker. A process also ends with the process that started it. */
export const main = <E>(program: Effect.Effect<void, E, WorkerRunner.WorkerRunnerPlatform>): void => {
  const end = () => globalThis.process.exit()
  // Effect closes the port when the worker is to end. Deno's cannot be closed (findings/deno-workers.sh).
  if (parentPort !== null && parentPort.close === undefined) Object.assign(parentPort, { close: () => {} })
  globalThis.process.on("disconnect", end)
  program.pipe(
    Effect.tap(() => Effect.sync(end)),
    Effect.provide(Layer.merge(NodeWorkerRunner.layer, Layer.succeed(Logger.LogToStderr, true))),
    isMainThread ? NodeRuntime.runMain : runThread
  )
}

// Signals are for the main thread, which then ends the others. On Deno they reach every thread.
const runThread = Runtime.makeRunMain(({ fiber, teardown }) =>
  fiber.addObserver((exit) => teardown(exit, (code) => globalThis.process.exit(code)))
)
