import { assert, layer } from "@effect/vitest"
import * as RunnerStorage from "effect/cluster/RunnerStorage"
import * as ShardingConfig from "effect/cluster/ShardingConfig"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { KubernetesClient } from "../src/KubernetesClient.ts"
import * as KubernetesRunnerStorage from "../src/KubernetesRunnerStorage.ts"
import * as ApiServer from "../src/testing/ApiServer.ts"
import * as TestLock from "../src/testing/TestLock.ts"
import { runnerStorage } from "./contract/runnerStorage.ts"
import { logged } from "./utils/logged.ts"
import * as runners from "./utils/runners.ts"

layer(runners.layerMemory, { excludeTestServices: true })("runner storage in memory", runnerStorage)

layer(Layer.provideMerge(runners.layerKubernetes("default"), TestLock.layer()), { excludeTestServices: true })(
  "runner storage on the embedded API server",
  (it) => {
    runnerStorage(it)

    it.effect("is a layer that goes where that of SqlRunnerStorage goes", () =>
      Effect.gen(function* () {
        const storage = yield* RunnerStorage.RunnerStorage
        assert.deepStrictEqual(yield* storage.getRunners, [])
      }).pipe(
        Effect.provide(KubernetesRunnerStorage.layer({ name: "orders" }).pipe(Layer.provide(ShardingConfig.layer())), {
          local: true
        })
      )
    )

    it.effect("says once what it may not do, since the cluster does not", () =>
      Effect.gen(function* () {
        const server = yield* ApiServer.ApiServer
        yield* server.inject(ApiServer.Fault.Forbid({}), { when: ({ path }) => path.includes("/leases") })
        const lines = yield* logged(
          Effect.gen(function* () {
            const { acquires } = yield* (yield* runners.aCluster()).aRunner()
            for (let times = 0; times < 3; times++) yield* Effect.flip(acquires(1))
          }).pipe(Effect.scoped)
        )
        assert.lengthOf(lines, 1)
        assert.match(lines[0]!, /^Warn The runner cannot work. Not allowed to .* leases/)
      }).pipe(Effect.scoped)
    )

    it.effect("refuses names that can be no objects", () =>
      Effect.gen(function* () {
        yield* KubernetesClient
        const error = yield* Effect.flip(
          Effect.scoped(KubernetesRunnerStorage.make({ name: "Orders" })).pipe(Effect.provide(ShardingConfig.layer()))
        )
        assert.strictEqual(error._tag, "LockInvalidName")
      })
    )
  }
)
