/** Locks through nginx with its defaults, in front of a real API server and under a path. Its buffer makes watches deaf, or late. */
import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as KubernetesClient from "../../src/KubernetesClient.ts"
import * as Lock from "../../src/Lock.ts"
import * as ObjectStoreKubernetes from "../../src/ObjectStoreKubernetes.ts"
import * as Resource from "../../src/Resource.ts"
import * as Envtest from "../../src/testing/envtest/Envtest.ts"
import { describeServers } from "./describeServers.ts"
import * as Nginx from "./nginx.ts"

const processes = 2

/** Lets processes take turns until each of them polls, and for some turns more. `hold` is how long each turn takes. */
const takeTurns = (kubeConfig: string, id: string, hold: number) =>
  Effect.gen(function* () {
    const lines: Array<string> = []
    const keep = Logger.make(({ message }) => {
      lines.push(String(message))
    })
    const store = ObjectStoreKubernetes.layer({ resource: Resource.configMap, namespace: "dex" })
    const client = KubernetesClient.layerKubeConfigYaml(kubeConfig)
    const hasAll = () => lines.filter((line) => line.startsWith("Waiters poll")).length === processes
    const turn = Effect.sleep(hold).pipe(Lock.withLock(id))
    const process = Effect.andThen(Effect.repeat(turn, { until: hasAll }), Effect.repeat(turn, { times: 5 })).pipe(
      Effect.provide(Lock.layer().pipe(Layer.provide(store), Layer.provide(client)), { local: true })
    )
    yield* Effect.all(
      Array.from({ length: processes }, () => process),
      { concurrency: "unbounded", discard: true }
    ).pipe(Effect.provide(Logger.layer([keep])), Effect.timeout("2 minutes"))
    return lines
  })

if (Nginx.isInstalled) {
  describeServers(
    "nginx",
    (server) => {
      layer(Envtest.layer({ server, fsync: false }), { timeout: "120 seconds", excludeTestServices: true })((it) => {
        it.effect.each([50, 2500])("in front of an API server costs no lock that is held for %d ms", (hold) =>
          Effect.gen(function* () {
            const { kubeConfig } = yield* Envtest.ApiServer
            const lines = yield* takeTurns(yield* Nginx.inFrontOf(kubeConfig), `turns-${hold}`, hold)
            assert.lengthOf(lines, processes)
            for (const line of lines) assert.include(line, "a proxy that buffers responses")
          })
        )
      })
    },
    (server) => server === "kube-apiserver"
  )
} else {
  const problem = "NOT RUN, no nginx in the path (Debian: nginx-light) and none in NGINX"
  console.error(`\n  ${problem}\n`)
  describe("nginx", () => it.skip(problem, () => {}))
}
