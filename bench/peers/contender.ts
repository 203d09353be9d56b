/**
 * A contending process. Started once and kept: it plays one task after the other, whatever the kind, and is quiet
 * between them.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import { type KubeConfigError, type KubernetesClient, layerKubeConfig } from "../../src/KubernetesClient.ts"
import { contend } from "./contend.ts"
import * as requests from "./requests.ts"
import { connect, takes } from "./takes.ts"
import { type Answer, now, type Order, type Report, type Task } from "./task.ts"
import { warmUp } from "./warmUp.ts"

const answer = (answer: Answer): Effect.Effect<void> => Effect.sync(() => process.send!(answer))

const play = Effect.fnUntraced(function* (
  task: Task,
  go: Effect.Effect<number>
): Effect.fn.Return<Report, { readonly message: string } | KubeConfigError, KubernetesClient | Scope.Scope> {
  yield* connect(task)
  const take = yield* takes[task.kind](task)
  const contest = contend(take, task)
  yield* answer({ _tag: "Ready" })

  const at = yield* go
  yield* Effect.sleep(Math.max(0, at - now()))
  const before = { ...requests.counted(), cpu: process.cpuUsage() }
  const running = yield* Effect.forkChild(contest.run)
  yield* Effect.sleep(task.settleSeconds * 1000)
  const settled = requests.counted()
  yield* Effect.sleep(Math.max(0, at + task.seconds * 1000 - now()))
  const { conflicts, sent } = requests.counted()
  const { system, user } = process.cpuUsage(before.cpu)
  const seen = contest.seen()
  yield* Fiber.interrupt(running)
  return {
    ...seen,
    requests: sent - before.sent,
    lateRequests: sent - settled.sent,
    conflicts: conflicts - before.conflicts,
    cpuMillis: (system + user) / 1000
  }
})

const program = Effect.gen(function* () {
  const orders = yield* Queue.unbounded<Order>()
  process.on("message", (order: Order) => Queue.offerUnsafe(orders, order))
  // the driver is gone
  process.on("disconnect", () => process.exit())

  const go = Effect.map(Queue.take(orders), (order) => (order._tag === "Go" ? order.at : now()))
  while (true) {
    const order = yield* Queue.take(orders)
    if (order._tag === "End") return process.disconnect()
    if (order._tag === "Go") continue
    yield* warmUp(order.task).pipe(
      Effect.andThen(Effect.scoped(play(order.task, go))),
      Effect.provide(layerKubeConfig({ file: order.task.kubeConfigFile }), { local: true }),
      Effect.matchEffect({
        onSuccess: (report) => answer({ _tag: "Done", report }),
        onFailure: ({ message }) => answer({ _tag: "Failed", detail: message })
      })
    )
  }
})

program.pipe(Effect.provide(Layer.succeed(Logger.LogToStderr, true)), NodeRuntime.runMain)
