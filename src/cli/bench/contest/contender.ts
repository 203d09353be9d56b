/** A thread that contends for a lock of kubelock's, or for Dex's. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Api from "../harness/api.ts"
import * as Connection from "../harness/connection.ts"
import * as Playing from "./playing.ts"
import * as ServerWitness from "./serverWitness.ts"
import type { Task } from "./task.ts"
import { connect, takes } from "./takes.ts"

/** What it takes. */
export interface LockTask extends Task {
  readonly kind: keyof typeof takes
}

Playing.main(
  (task: LockTask) =>
    Effect.flatMap(Layer.build(Connection.layer(task.connection)), (client) =>
      Effect.andThen(connect(task), takes[task.kind](task)).pipe(Effect.provideContext(client))
    ),
  ({ connection, serverWitness }) =>
    serverWitness === undefined
      ? Effect.succeed(undefined)
      : Effect.flatMap(Layer.build(Connection.layer(connection)), (client) =>
          Effect.map(Effect.provideContext(Api.make, client), (api) => ServerWitness.make(api, serverWitness))
        )
)
