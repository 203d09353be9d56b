/**
 * `kubectl` prints the same on the embedded server as on a real one, and leaves the same objects behind.
 *
 * It is the `kubectl` in the path, or that of the environment variable `KUBECTL`.
 */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as ApiServer from "../../src/testing/ApiServer.ts"
import * as Envtest from "../../src/testing/envtest/Envtest.ts"
import { describeServers } from "./describeServers.ts"
import { describeMissing } from "../../tools/notRun.ts"
import { steps } from "./kubectl/commands.ts"
import { comparable, kubectl, type Place, run, runStep } from "./kubectl/kubectl.ts"

const hasKubectl = spawnSync(kubectl, ["version", "--client"]).status === 0

/** Everything that is left, after all commands. */
const state = (place: Place) =>
  Effect.map(run(place, { line: "get configmaps,secrets,leases,events -o json" }), ({ stdout }) => {
    const { items } = JSON.parse(stdout) as { readonly items: ReadonlyArray<Item> }
    return items.filter(({ metadata }) => metadata.name !== "kube-root-ca.crt").map(neutral)
  })

interface Item {
  readonly metadata: { readonly name: string; readonly [field: string]: unknown }
}

const neutral = ({ metadata, ...rest }: Item) => {
  const { creationTimestamp: _, managedFields: __, resourceVersion: ___, uid: ____, ...own } = metadata
  return JSON.parse(JSON.stringify({ ...rest, metadata: own }).replaceAll(/"uid":"[^"]*"/g, '"uid":"UID"')) as unknown
}

if (hasKubectl) {
  describeServers(
    "kubectl on the embedded server",
    (server) =>
      it.live(`prints and does the same as on ${server}, in ${steps.length} commands`, () =>
        Effect.gen(function* () {
          const home = yield* Effect.acquireRelease(
            Effect.sync(() => mkdtempSync(join(tmpdir(), "kubelock-kubectl-"))),
            (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
          )
          const place = (name: string, kubeConfig: string): Place => {
            const folder = join(home, name)
            mkdirSync(folder)
            writeFileSync(join(folder, "kubeconfig"), kubeConfig, { mode: 0o600 })
            return { kubeConfigPath: join(folder, "kubeconfig"), home: folder }
          }
          const embedded = place("embedded", (yield* ApiServer.make()).kubeConfig)
          const real = place("real", (yield* Envtest.start({ server, fsync: false })).kubeConfig)
          for (const step of steps) {
            const [ours, theirs] = yield* Effect.all([runStep(embedded, step), runStep(real, step)], {
              concurrency: 2
            })
            assert.deepStrictEqual(ours.map(comparable), theirs.map(comparable), step.line)
          }
          assert.deepStrictEqual(yield* state(embedded), yield* state(real))
        })
      ),
    (server) => server === "kube-apiserver"
  )
} else {
  const problem = `NOT RUN, no ${kubectl}: Debian's package kubernetes-client has one, or set KUBECTL`
  describeMissing("kubectl on the embedded server", problem)
}
