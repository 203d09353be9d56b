/** The Job that `kubelock bench --job` prints, run without Kubernetes: its pods are processes with the environment that pods have. */
import { loadAllYaml } from "@kubernetes/client-node"
import * as Effect from "effect/Effect"
import * as Result from "../../src/cli/bench/job/result.ts"
import * as ServerWitness from "../../src/cli/bench/contest/serverWitness.ts"
import * as histogram from "../../src/cli/bench/harness/histogram.ts"
import * as requests from "../../src/cli/bench/harness/requests.ts"
import * as Resource from "../../src/Resource.ts"
import type { Ended, Kubelock, Running } from "./kubelock.ts"

interface Printed {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace?: string }
}

/** A rule of a Role. */
export interface Rule {
  readonly apiGroups: ReadonlyArray<string>
  readonly resources: ReadonlyArray<string>
  readonly resourceNames?: ReadonlyArray<string>
  readonly verbs: ReadonlyArray<string>
}

/** What was printed: its text, its objects, the rules of its Role, and what a pod runs. */
export interface Manifest {
  readonly text: string
  readonly objects: ReadonlyArray<Printed>
  readonly rules: ReadonlyArray<Rule>
  readonly pods: number
  readonly args: ReadonlyArray<string>
}

/** Has the Job printed. */
export const print = async (kubelock: Pick<Kubelock, "run">, ...args: ReadonlyArray<string>): Promise<Manifest> => {
  const { code, stderr, stdout } = await kubelock.run(["bench", "--job", ...args])
  if (code !== 0) throw new Error(stderr)
  const objects: ReadonlyArray<Printed> = loadAllYaml(stdout)
  const [role] = objects.filter(({ kind }) => kind === "Role") as unknown as ReadonlyArray<{
    readonly rules: ReadonlyArray<Rule>
  }>
  const [job] = objects.filter(({ kind }) => kind === "Job") as unknown as ReadonlyArray<{
    readonly spec: {
      readonly completions: number
      readonly template: {
        readonly spec: { readonly containers: ReadonlyArray<{ readonly args: ReadonlyArray<string> }> }
      }
    }
  }>
  return {
    text: stdout,
    objects,
    rules: role!.rules,
    pods: job!.spec.completions,
    args: job!.spec.template.spec.containers[0]!.args
  }
}

/** Starts a pod. */
export const pod = (
  kubelock: Pick<Kubelock, "start">,
  { args }: Manifest,
  index: number,
  uid: string,
  env: Readonly<Record<string, string>> = {}
): Running => kubelock.start(args, { env: { JOB_COMPLETION_INDEX: String(index), KUBELOCK_JOB_UID: uid, ...env } })

/** Runs all pods. */
export const run = (
  kubelock: Pick<Kubelock, "start">,
  manifest: Manifest,
  uid: string,
  env?: Readonly<Record<string, string>>
): Promise<ReadonlyArray<Ended>> =>
  Promise.all(Array.from({ length: manifest.pods }, (_, index) => pod(kubelock, manifest, index, uid, env).ended))

/** Puts what the pods of a Job leave onto the server: what each measured, and how often their witness was written. */
export const leave = (
  { server }: Pick<Kubelock, "server">,
  name: string,
  count: string,
  ...results: ReadonlyArray<Result.Result>
): Promise<void> => {
  const objects: ReadonlyArray<readonly [name: string, content: object]> = [
    [name, { data: { job: "job", pods: String(results.length), ids: "1" } }],
    [`${name}-witness-0`, { data: { count } }],
    ...results.map((result, index) => [`${name}-result-${index}`, Result.encode(result)] as const)
  ]
  return Effect.runPromise(
    Effect.forEach(
      objects,
      ([name, content]) => server.put(Resource.configMap, "default", { metadata: { name }, ...content }),
      { discard: true }
    )
  )
}

/** What a pod of two contenders may have measured. */
export const result = (part: Partial<Result.Result["summary"]> = {}): Result.Result => {
  const wait = histogram.make()
  for (const millis of [1, 2, 3]) histogram.record(wait, BigInt(millis * 1e6))
  return {
    wait,
    summary: {
      job: "job",
      kind: "lock",
      limit: null,
      writers: null,
      target: "https://10.0.0.1",
      threads: 1,
      fibers: 2,
      ids: 1,
      holdMillis: 0,
      durationMillis: 1000,
      violations: 0,
      timeouts: 0,
      errors: 0,
      acquisitions: [1, 2],
      requests: { ...requests.none, get: 1, patch: 6 },
      seen: { ...ServerWitness.nothing, visits: 3, mostInside: 1, updates: 3 },
      ...part
    }
  }
}
