/** How a worker plays: one task after the other, quiet between them. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as requests from "../harness/requests.ts"
import * as Workers from "../harness/workers.ts"
import * as Contest from "./contest.ts"
import type * as ServerWitness from "./serverWitness.ts"
import { now, type Order, type Report, type Task } from "./task.ts"

interface Problem {
  readonly message: string
}

/** Prepares a worker to take what a task is about. What it opens is closed after the round. */
export type Ready<A extends Task> = (task: A) => Effect.Effect<Contest.Take, Problem, Scope.Scope>

/** The witness on the API server that a task wants, if it wants one. */
export type WitnessOf = (task: Task) => Effect.Effect<ServerWitness.ServerWitness | undefined, Problem, Scope.Scope>

interface Prepared {
  readonly task: Task
  readonly contest: Contest.Contest
  readonly witness: ServerWitness.ServerWitness | undefined
  readonly stopped: Deferred.Deferred<void>
  readonly scope: Scope.Closeable
}

let prepared: Prepared | undefined

const prepare = <A extends Task>(ready: Ready<A>, witnessOf: WitnessOf, task: A): Effect.Effect<void, Problem> =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const stopped = yield* Deferred.make<void>()
    const [take, witness] = yield* Effect.all([ready(task), witnessOf(task)]).pipe(
      Scope.provide(scope),
      Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
    )
    prepared = { task, contest: Contest.make(take, task, witness), witness, stopped, scope }
  })

const go = ({ contest, stopped, task, witness }: Prepared, at: number): Effect.Effect<Report> =>
  Effect.gen(function* () {
    const until = (moment: number) =>
      Effect.raceFirst(Effect.sleep(Math.max(0, moment - now())), Deferred.await(stopped))
    yield* until(at)
    const before = requests.counted()
    const cpu = process.cpuUsage()
    const running = yield* Effect.forkChild(contest.run)
    yield* until(at + task.settleSeconds * 1000)
    const settled = requests.counted()
    // A contest does not end by itself: it only fails.
    yield* Effect.raceFirst(until(at + task.seconds * 1000), Fiber.join(running))
    const sent = requests.counted()
    const { system, user } = process.cpuUsage(cpu)
    const millis = now() - at
    const report = contest.report(at + Math.min(millis, task.seconds * 1000))
    yield* Fiber.interrupt(running)
    return {
      ...report,
      millis,
      requests: requests.since(before, sent),
      lateRequests: requests.total(requests.since(settled, sent)),
      cpuMillis: (system + user) / 1000,
      seen: witness?.seen()
    }
  })

/** Runs a worker that plays what it is asked to. */
export const main = <A extends Task>(ready: Ready<A>, witnessOf: WitnessOf = () => Effect.succeed(undefined)): void =>
  Workers.main(
    Workers.serve((order: Order): Effect.Effect<Report | void, Problem> => {
      if (order._tag === "Prepare") return prepare(ready, witnessOf, order.task as A)
      if (prepared === undefined) return Effect.fail({ message: "a contender has no task" })
      if (order._tag === "Stop") return Effect.asVoid(Deferred.succeed(prepared.stopped, undefined))
      return Effect.ensuring(go(prepared, order.at), Scope.close(prepared.scope, Exit.void))
    })
  )
