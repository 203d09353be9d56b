/** The example cluster of the docs as real processes, on the embedded API server, and its manifest. */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import * as ApiServer from "../../src/testing/ApiServer.ts"
import { folder, trial } from "./trial.ts"

layer(ApiServer.layer(), { excludeTestServices: true })("the example cluster", (it) => {
  it.effect(
    "runs each entity on one runner at a time, whatever becomes of them, and needs what its manifest grants",
    () =>
      Effect.gen(function* () {
        const { kubeConfig, requests, url } = yield* ApiServer.ApiServer
        yield* trial(url, (other) => kubeConfig.replace(url, other))
        const manifest = readFileSync(join(folder, "manifest.yaml"), "utf8")
        for (const resource of ["configmaps", "leases"]) {
          const granted = new RegExp(`resources: \\[${resource}\\]\\n\\s+verbs: \\[(.*)\\]`).exec(manifest)![1]!
          const needed = new Set(
            (yield* requests)
              .filter(({ path }) => path.includes(`/${resource}`))
              .map(({ verb }) => (verb === "post" ? "create" : verb))
          )
          assert.deepStrictEqual([...needed].toSorted(), granted.split(", ").toSorted())
        }
      })
  )
})
