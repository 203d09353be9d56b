/** The manifests of the command line, on a real API server: what they run, under the rights that they grant. */
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

/** A manifest, what its account is called, the command that it runs under kubelock, and a lock that is none of its business. */
const manifests = [
  { name: "cronjob", account: "nightly-report", command: "report", other: ["other"], once: true },
  { name: "migration", account: "shop", command: "migrate", other: ["other"], once: true },
  { name: "leader", account: "controller", command: "controller", other: ["other", "--lead"], once: false }
] as const

interface PodSpec {
  readonly containers: ReadonlyArray<{ readonly command?: ReadonlyArray<string> }>
  readonly initContainers?: PodSpec["containers"]
}

interface Templated {
  readonly spec: { readonly template: { readonly spec: PodSpec } }
}

interface Manifested {
  readonly apiVersion: string
  readonly kind: string
  readonly spec?: Partial<Templated["spec"]> & { readonly jobTemplate?: Templated }
  readonly rules?: ReadonlyArray<{
    readonly resources: ReadonlyArray<string>
    readonly resourceNames: ReadonlyArray<string>
    readonly verbs: ReadonlyArray<string>
  }>
}

const fileOf = (name: string) => join(root, "docs/examples/command-line", `${name}.yaml`)

const objectsOf = (name: string) => loadAllYaml(readFileSync(fileOf(name), "utf8")) as ReadonlyArray<Manifested>

/** The command line of the container that runs kubelock. */
const lineOf = (name: string): string => {
  const specs = objectsOf(name).flatMap(({ spec }) => (spec?.jobTemplate?.spec.template ?? spec?.template)?.spec ?? [])
  const containers = specs.flatMap(({ containers, initContainers = [] }) => initContainers.concat(containers))
  const command = containers
    .map(({ command = [] }) => command)
    .find((words) => words.join(" ").includes("kubelock run"))!
  return command.map((word) => `'${word}'`).join(" ")
}

const kubelock = Kubelock.forTests()

const suite = (server: Envtest.Server) =>
  layer(Envtest.layer({ server, fsync: false }), { timeout: "120 seconds", excludeTestServices: true })((it) => {
    for (const { account, command, name, once, other } of manifests) {
      it.effect(`${name}.yaml is accepted`, () =>
        Effect.gen(function* () {
          const api = yield* Envtest.ApiServer
          const { body } = yield* api.request("GET", "/apis/batch/v1")
          const { resources } = body as { readonly resources: ReadonlyArray<{ readonly kind: string }> }
          const isStable = resources.some(({ kind }) => kind === "CronJob")
          for (const object of objectsOf(name)) {
            // CronJobs are stable since Kubernetes 1.21, and were the same before.
            const isBeta = object.kind === "CronJob" && !isStable
            const sent = isBeta ? { ...object, apiVersion: "batch/v1beta1" } : object
            const reply = yield* api.request("POST", `${pathOf(sent, "default")}?dryRun=All`, sent)
            assert.strictEqual(reply.status, 201, JSON.stringify(reply.body))
          }
        })
      )

      it.effect(`${name}.yaml grants what its command needs, and no more`, () =>
        Effect.gen(function* () {
          const file = join(kubelock.folder, `${name}.kubeconfig`)
          writeFileSync(file, yield* serviceAccount.kubeConfigOf(account, "default", fileOf(name)))
          writeFileSync(join(kubelock.folder, command), "#!/bin/sh\necho works\n", { mode: 0o755 })
          const env = `KUBECONFIG=${file} KUBELOCK_NAMESPACE=default JOB_NAME=${account}-29400000`
          const run = (line: string) => Effect.promise(() => kubelock.shell(`${env} ${line}`))
          const line = `kubelock run ${[lockOf(name), ...other.slice(1)].join(" ")}`
          // RBAC is known to the server a moment after it was written.
          const reach = run(`${line} -- true`)
          yield* Effect.repeat(reach, { until: ({ code }) => code === 0, times: 3 })
          assert.deepStrictEqual(yield* reach, { code: 0, stdout: "", stderr: "" })
          assert.deepStrictEqual(yield* run(lineOf(name)), { code: 0, stdout: "works\n", stderr: "" })
          const again = yield* run(lineOf(name))
          assert.deepStrictEqual([again.code, again.stdout], [0, once ? "" : "works\n"])
          const foreign = yield* run(`kubelock run ${other.join(" ")} -- true`)
          assert.strictEqual(foreign.code, 69)
          assert.match(foreign.stderr, /Grant the verb|not allowed|forbidden/i)
          const rights = yield* run("kubelock doctor")
          assert.match(rights.stdout, /FAIL {2}rights for locks +not allowed to get, patch, create, watch configmaps/)
          const role = objectsOf(name).flatMap(({ rules }) => rules ?? [])[0]!
          const ofObject = yield* run(`kubelock doctor ${role.resourceNames[0]}`)
          const granted = `^ok +rights for .* get, patch, watch on ${role.resources[0]}\\S*/${role.resourceNames[0]}\\b`
          assert.match(ofObject.stdout, new RegExp(granted, "m"))
          assert.deepStrictEqual(role.verbs, ["get", "patch", "watch"])
          const api = yield* Envtest.ApiServer
          const without = Effect.fnUntraced(function* (needed: string) {
            const rules = [{ ...role, verbs: role.verbs.filter((verb) => verb !== needed) }]
            const path = `/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles/${account}`
            assert.strictEqual((yield* api.request("PATCH", path, { rules })).status, 200)
          })
          const holder = yield* Effect.promise(() =>
            kubelock.holding(lockOf(name), "--kubeconfig", api.kubeConfigPath, "-n", "default", ...other.slice(1))
          )
          // It stops waiting after a while. Until then it is told of changes, or else says that it polls.
          const wait = run(`timeout 8 ${line} -- true`)
          assert.deepStrictEqual(yield* wait, { code: 124, stdout: "", stderr: "" })
          yield* without("watch")
          const polling = yield* Effect.repeat(wait, { until: ({ stderr }) => stderr !== "", times: 3 })
          assert.match(polling.stderr, /Waiters poll, since they may not watch\. Not allowed to watch /)
          holder.process.kill()
          yield* Effect.promise(() => holder.ended)
          for (const needed of ["get", "patch"]) {
            yield* without(needed)
            // A candidate asks again for as long as it stands.
            const denied = run(`timeout 20 ${line} -- true`)
            const { code, stderr } = yield* Effect.repeat(denied, { until: ({ code }) => code !== 0, times: 3 })
            assert.notStrictEqual(code, 0)
            assert.match(stderr, new RegExp(`Not allowed to ${needed} `))
          }
        })
      )
    }
  })

const lockOf = (name: string): string => /kubelock'? '?run'? '?([\w-]+)/.exec(lineOf(name))![1]!

describeServers("the manifests of the command line", suite, (server) => server === "kube-apiserver")
