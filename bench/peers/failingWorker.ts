/** A process that works under a lock, and may be suspended or killed meanwhile. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { now } from "../../src/cli/bench/contest/task.ts"
import type { Task } from "../contest/task.ts"
import * as Connection from "../../src/cli/bench/harness/connection.ts"
import * as Workers from "../../src/cli/bench/harness/workers.ts"
import { underLock } from "./underLock.ts"

/**
 * What the process is asked for. It answers with a moment (`task.now`).
 *
 * - `Take`: takes the lock, and begins to work.
 * - `Lost`: waits until the work is told that the lock is lost.
 * - `Release`: ends the work, and gives the lock back.
 */
export type Order = { readonly _tag: "Take"; readonly task: Task } | { readonly _tag: "Lost" | "Release" }

const lost = Deferred.makeUnsafe<number>()
const scope = Scope.makeUnsafe()

const take = Effect.fnUntraced(function* (task: Task) {
  let began = 0
  const client = yield* Layer.build(Connection.layer(task.connection))
  yield* Effect.provideContext(
    underLock(task, {
      began: () => {
        began = now()
      },
      lost: () => Deferred.doneUnsafe(lost, Exit.succeed(now()))
    }),
    client
  )
  return began
})

Workers.main(
  Workers.serve((order: Order): Effect.Effect<number, { readonly message: string }> => {
    switch (order._tag) {
      case "Take":
        return Effect.mapError(Scope.provide(take(order.task), scope), (error) => ({ message: String(error) }))
      case "Lost":
        return Deferred.await(lost)
      case "Release":
        return Effect.map(Scope.close(scope, Exit.void), now)
    }
  })
)
