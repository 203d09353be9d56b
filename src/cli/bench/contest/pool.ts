/** The workers that contend. They are started once and play one round after the other. */
import type { ChildProcess } from "node:child_process"
import { extname } from "node:path"
import type { Worker } from "node:worker_threads"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { LoadError } from "../harness/loadError.ts"
import * as Workers from "../harness/workers.ts"
import { now, type Order, type Report, type Task } from "./task.ts"

/**
 * The workers.
 *
 * - `start`: starts workers, up to this number, and does not wait until they have loaded their code.
 * - `play`: plays a round: one task for each worker, all beginning at the same moment. Workers that are missing are
 *   started. `onStart` runs when all are ready, with that moment (`task.now`). `onEnd` gets the reports, also if the
 *   round is interrupted: the workers are then asked to stop, and they have 15 seconds to report.
 */
export interface Pool {
  readonly start: (count: number) => Effect.Effect<void>
  readonly play: <A extends Task>(
    tasks: ReadonlyArray<A>,
    options?: {
      readonly onStart?: (at: number) => Effect.Effect<void>
      readonly onEnd?: (reports: ReadonlyArray<Report>) => void
    }
  ) => Effect.Effect<ReadonlyArray<Report>, LoadError>
}

/** The file of a worker that takes locks of kubelock's and of Dex's. It is beside this one, also in the package. */
export const contender = new URL(`contender${extname(import.meta.url)}`, import.meta.url)

/** A pool of threads that run a file. */
export const threadsOf = (file: URL): Effect.Effect<Pool, never, Scope.Scope> => make(() => Workers.thread(file))

/** A pool of processes that run a file, with arguments. */
export const processesOf = (file: URL, args: ReadonlyArray<string> = []): Effect.Effect<Pool, never, Scope.Scope> =>
  make(() => Workers.process(file, { args }))

const startDelay = 30

const all = { concurrency: "unbounded" } as const

const make = Effect.fnUntraced(function* (
  spawn: () => Worker | ChildProcess
): Effect.fn.Return<Pool, never, Scope.Scope> {
  const scope = yield* Effect.scope
  const workers: Array<Workers.Ask<Order, Report>> = []
  // Before its first round a worker has taken nothing. Only a warm-up makes an object on the API server.
  let areExpendable = true
  const start = Scope.provide(
    Workers.start<Order, Report>("a contender", spawn, () => areExpendable),
    scope
  )

  const within = <A>(asked: Effect.Effect<A, LoadError>, seconds: number) =>
    Effect.timeoutOrElse(asked, {
      duration: seconds * 1000,
      orElse: () => new LoadError({ message: `a contender did not answer within ${seconds} seconds` })
    })

  return {
    start: Effect.fnUntraced(function* (count) {
      while (workers.length < count) workers.push(yield* start)
    }),
    play: Effect.fnUntraced(function* (tasks, { onEnd = () => {}, onStart = () => Effect.void } = {}) {
      while (workers.length < tasks.length) workers.push(yield* start)
      areExpendable &&= tasks.every(({ warmUpCpuMillis }) => warmUpCpuMillis === 0)
      const players = workers.slice(0, tasks.length)
      yield* Effect.forEach(players, (ask, index) => within(ask({ _tag: "Prepare", task: tasks[index]! }), 300), all)
      areExpendable = false
      const at = now() + startDelay
      const seconds = Math.max(...tasks.map((task) => task.seconds)) + 60
      yield* onStart(at)
      const round = Effect.forEach(players, (ask) => within(ask({ _tag: "Go", at }), seconds), all).pipe(
        Effect.tap((reports) => Effect.sync(() => onEnd(reports)))
      )
      return yield* orStopped(
        round,
        Effect.forEach(players, (ask) => ask({ _tag: "Stop" }), { ...all, discard: true })
      )
    })
  }
})

/** Lets an effect run to its end. If it is interrupted, `stop` asks it to end early. */
const orStopped = <A, E>(effect: Effect.Effect<A, E>, stop: Effect.Effect<void, E>): Effect.Effect<A, E> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Effect.forkChild(Effect.interruptible(effect)), (fiber) =>
      restore(Fiber.join(fiber)).pipe(
        Effect.onInterrupt(() =>
          Effect.ignore(stop).pipe(Effect.andThen(Fiber.await(fiber)), Effect.timeoutOption("15 seconds"))
        )
      )
    )
  )
