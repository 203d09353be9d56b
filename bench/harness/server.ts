/** The thread of the embedded API server. It answers with the kubeconfig. */
import * as Effect from "effect/Effect"
import * as ApiServer from "../../src/testing/ApiServer.ts"
import * as Workers from "../../src/cli/bench/harness/workers.ts"

Workers.main(
  Effect.flatMap(ApiServer.ApiServer, ({ kubeConfig }) => Workers.serve(() => Effect.succeed(kubeConfig))).pipe(
    Effect.provide(ApiServer.layer())
  )
)
