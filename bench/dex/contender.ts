/** A process that takes the lock of one object again and again, until it is killed. Asked to, it keeps the lock. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { connect } from "../../src/cli/bench/contest/takes.ts"
import { takes } from "../contest/takes.ts"
import type { Task } from "../contest/task.ts"
import * as Connection from "../../src/cli/bench/harness/connection.ts"
import * as Workers from "../../src/cli/bench/harness/workers.ts"

/** It contends from now on; or it keeps the lock once it has it, and then answers. */
export type Order = { readonly _tag: "Contend"; readonly task: Task } | { readonly _tag: "Keep" }

const inside = Deferred.makeUnsafe<void>()
let keeps = false

const contend = Effect.fnUntraced(function* (task: Task) {
  const scope = yield* Scope.make()
  const client = yield* Scope.provide(Layer.build(Connection.layer(task.connection)), scope)
  const take = yield* Effect.andThen(connect(task), takes[task.kind](task)).pipe(
    Effect.provideContext(client),
    Scope.provide(scope)
  )
  const work = Effect.suspend(() =>
    keeps ? Effect.andThen(Deferred.succeed(inside, undefined), Effect.never) : Effect.sleep(task.holdMillis)
  )
  yield* Effect.andThen(take(task.ids[0]!, true), work).pipe(
    Effect.scoped,
    Effect.catch(() => Effect.sleep("100 millis")),
    Effect.forever,
    Effect.forkDetach
  )
})

Workers.main(
  Workers.serve((order: Order): Effect.Effect<void, { readonly message: string }> => {
    if (order._tag === "Contend") return contend(order.task)
    keeps = true
    return Deferred.await(inside)
  })
)
