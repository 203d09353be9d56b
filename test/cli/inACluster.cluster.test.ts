/**
 * The manifests of docs/in-a-cluster.md, on a real API server: it accepts them, and their roles are enough. And how the program waits
 * there.
 */
import { assert, layer } from "@effect/vitest"
import { loadAllYaml } from "@kubernetes/client-node"
import * as Effect from "effect/Effect"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Envtest } from "../../src/testing/index.ts"
import { describeServers } from "../cluster/describeServers.ts"
import { pathOf } from "../cluster/pathOf.ts"
import * as serviceAccount from "../cluster/serviceAccount.ts"
import * as Kubelock from "../utils/kubelock.ts"
import { root } from "../utils/publicModules.ts"

const page = readFileSync(join(root, "docs/in-a-cluster.md"), "utf8")

const [forAll = "", byName = "", deployment = ""] = [...page.matchAll(/```yaml\n([^]*?)```/g)].map(([, text]) => text)

const kubelock = Kubelock.forTests()

const suite = (server: Envtest.Server) =>
  layer(Envtest.layer({ server, fsync: false }), { timeout: "120 seconds", excludeTestServices: true })((it) => {
    it.effect("a server accepts them, and the Deployment runs under the account that has the role", () =>
      Effect.gen(function* () {
        const api = yield* Envtest.ApiServer
        const objects = loadAllYaml([forAll, deployment].join("---\n"))
        for (const object of objects) {
          const reply = yield* api.request("POST", `${pathOf(object, "default")}?dryRun=All`, object)
          assert.strictEqual(reply.status, 201, JSON.stringify(reply.body))
        }
        const of = (kind: string) => objects.find((object) => object.kind === kind)
        const account = of("ServiceAccount").metadata.name
        assert.strictEqual(of("RoleBinding").subjects[0].name, account)
        assert.strictEqual(of("RoleBinding").roleRef.name, of("Role").metadata.name)
        assert.strictEqual(of("Deployment").spec.template.spec.serviceAccountName, account)
      })
    )

    it.effect("one that waits watches over HTTP/2, which is loaded for that", () =>
      Effect.gen(function* () {
        const api = yield* Envtest.ApiServer
        const preload = join(kubelock.folder, "preload.cjs")
        const isThere = `process.moduleLoadList.includes("NativeModule http2")`
        writeFileSync(preload, `setInterval(() => ${isThere} && console.log("HTTP/2"), 20).unref()`)
        const flags = ["--kubeconfig", api.kubeConfigPath, "-n", "default"]
        const holder = yield* Effect.promise(() => kubelock.holding("watched", ...flags))
        const env = { NODE_OPTIONS: `--require=${preload}` }
        const waiter = kubelock.start(["run", "watched", ...flags, "--", "echo", "in"], { env })
        yield* Effect.promise(() => waiter.says("HTTP/2"))
        holder.process.kill("SIGINT")
        const { code, stdout } = yield* Effect.promise(() => waiter.ended)
        assert.deepStrictEqual([code, stdout.includes("in\n")], [0, true])
      })
    )

    it.effect("the roles are enough, the second one for the objects that it names", () =>
      Effect.gen(function* () {
        const kubeConfig = join(kubelock.folder, "checkout.kubeconfig")
        const api = yield* Envtest.ApiServer
        const apply = Effect.fnUntraced(function* (manifest: string) {
          const file = join(kubelock.folder, "manifest.yaml")
          writeFileSync(file, manifest)
          writeFileSync(kubeConfig, yield* serviceAccount.kubeConfigOf("checkout", "default", file))
        })
        const run = (line: string) =>
          Effect.promise(() => kubelock.shell(`KUBECONFIG=${kubeConfig} KUBELOCK_NAMESPACE=default ${line}`))
        // RBAC is known to the server a moment after it was written.
        const works = (line: string) =>
          Effect.map(Effect.repeat(run(line), { until: ({ code }) => code === 0, times: 3 }), ({ code, stderr }) =>
            assert.strictEqual(code, 0, stderr)
          )

        yield* apply(forAll)
        yield* works("kubelock run invoice-7 -- true")

        const roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles"
        assert.strictEqual((yield* api.request("DELETE", `${roles}/checkout-locks`)).status, 200)
        yield* apply(byName)
        yield* works("kubelock run settlement -- true")
        yield* works("kubelock run nightly-report --once 2026-11-28T02:00:00Z -- true")
        const other = Effect.repeat(run("kubelock run invoice-7 -- true"), {
          until: ({ code }) => code !== 0,
          times: 3
        })
        assert.strictEqual((yield* other).code, 69)
      })
    )
  })

describeServers("the manifests of the page In a cluster", suite, (server) => server === "kube-apiserver")
