/** A worker that contends on Kubernetes, as a thread or as a process. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Connection from "../../src/cli/bench/harness/connection.ts"
import * as Playing from "../../src/cli/bench/contest/playing.ts"
import { connect } from "../../src/cli/bench/contest/takes.ts"
import { takes } from "./takes.ts"
import type { Task } from "./task.ts"
import { warmUp } from "./warmUp.ts"

Playing.main((task: Task) =>
  Effect.flatMap(Layer.build(Connection.layer(task.connection)), (client) =>
    warmUp(task).pipe(
      Effect.andThen(connect(task)),
      Effect.andThen(takes[task.kind](task)),
      Effect.provideContext(client)
    )
  )
)
