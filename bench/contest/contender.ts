/** A worker that contends on Kubernetes, as a thread or as a process. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Connection from "../harness/connection.ts"
import * as Playing from "./playing.ts"
import { connect, takes } from "./takes.ts"
import { warmUp } from "./warmUp.ts"

Playing.main((task) =>
  Effect.flatMap(Layer.build(Connection.layer(task.connection)), (client) =>
    warmUp(task).pipe(
      Effect.andThen(connect(task)),
      Effect.andThen(takes[task.kind](task)),
      Effect.provideContext(client)
    )
  )
)
