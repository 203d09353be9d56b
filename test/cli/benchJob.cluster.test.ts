/**
 * The Job that `kubelock bench --job` prints, on a real API server: it is accepted, and its pods are processes with no right but those of
 * its Role. They contend, and exclusion is checked across them.
 */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { Envtest } from "../../src/testing/index.ts"
import { describeServers } from "../cluster/describeServers.ts"
import { pathOf } from "../cluster/pathOf.ts"
import * as serviceAccount from "../cluster/serviceAccount.ts"
import * as benchJob from "../utils/benchJob.ts"
import * as Kubelock from "../utils/kubelock.ts"

const kubelock = Kubelock.forTests()

describeServers(
  "kubelock bench --job",
  (server) => {
    for (const [resource, ...flags] of [
      ["configmaps"],
      ["leases.coordination.k8s.io", "--kind=semaphore", "--limit=2", "--hold=5ms", "--ids=2"]
    ] as const) {
      it.live(
        `is accepted on ${server}, needs no more than its Role, and proves exclusion across processes, on ${resource}`,
        () =>
          Effect.scoped(
            Effect.gen(function* () {
              const api = yield* Envtest.start({ server, fsync: false })
              const file = (name: string, text: string) => {
                writeFileSync(join(kubelock.folder, name), text, { mode: 0o600 })
                return join(kubelock.folder, name)
              }
              const manifest = yield* Effect.promise(() =>
                benchJob.print(
                  kubelock,
                  "-n",
                  "dex",
                  "-z",
                  "5s",
                  "-c",
                  "4",
                  "--pods",
                  "3",
                  "--resource",
                  resource,
                  ...flags
                )
              )
              const kubeConfig = yield* serviceAccount
                .kubeConfigOf("kubelock-bench", "dex", file("manifest.yaml", manifest.text))
                .pipe(Effect.provideService(Envtest.ApiServer, api))
              let uid = ""
              for (const object of manifest.objects) {
                if (object.kind !== "ServiceAccount" && object.kind !== "Job") continue
                const { body, status } = yield* api.request("POST", pathOf(object, "dex"), object)
                assert.strictEqual(status, 201, JSON.stringify(body))
                if (object.kind === "Job") uid = (body as { readonly metadata: { readonly uid: string } }).metadata.uid
              }
              const pods = yield* Effect.promise(() =>
                benchJob.run(kubelock, manifest, uid, { KUBECONFIG: file("pod", kubeConfig) })
              )
              for (const { code, stderr } of pods) assert.strictEqual(code, 0, stderr)
              const { code, stderr, stdout } = yield* Effect.promise(() =>
                kubelock.run(["bench", "--collect", "kubelock-bench", "-o", "json"], {
                  env: { KUBECONFIG: file("admin", api.kubeConfig) }
                })
              )
              assert.strictEqual(code, 0, stderr)
              const { runs, witness } = JSON.parse(stdout)
              assert.include(runs[0], { threads: 12, fibers: 1, violations: 0, errors: 0 })
              assert.isAbove(runs[0].acquisitions, 3)
              assert.include(witness, { overlaps: 0, lostUpdates: 0, staleReads: 0, staleTokens: 0, unsure: 0 })
              assert.isAtLeast(witness.visits, runs[0].acquisitions)
            })
          )
      )
    }
  },
  (server) => server === "kube-apiserver"
)
