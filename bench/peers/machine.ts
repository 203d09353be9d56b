/** The machine of a run, and the versions of what was measured. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { createRequire } from "node:module"
import * as os from "node:os"
import { join } from "node:path"
import { Envtest } from "../../src/testing/index.ts"
import { output } from "../harness/output.ts"

/** The machine and the versions. `commit` ends in `+` if `src` had uncommitted changes. */
export interface Machine {
  readonly date: string
  readonly cpu: string
  readonly cpus: number
  readonly memoryGiB: number
  readonly kernel: string
  /** The load average of the minute before. More than a fraction of one means that the machine was busy. */
  readonly loadBefore: number
  readonly node: string
  readonly etcd: string
  readonly commit: string
  readonly packages: Readonly<Record<string, string>>
}

/** The circumstances of a run. `priority` is the nice value of its processes, and `loadAfter` the load average of its last five minutes. */
export interface Circumstances {
  readonly machine: Machine
  readonly tookSeconds: number
  readonly priority: number
  readonly loadAfter: number
}

const require = createRequire(import.meta.url)

const versionOf = (name: string): string => {
  const path = (require.resolve.paths(name) ?? []).map((folder) => join(folder, name, "package.json"))
  for (const file of path) {
    try {
      return (require(file) as { readonly version: string }).version
    } catch {
      // It is in another folder.
    }
  }
  return "unknown"
}

/** Describes this machine. */
export const describe = (etcd: string): Machine => ({
  date: new Date().toISOString().slice(0, 10),
  cpu: os.cpus()[0]?.model.trim() ?? "unknown",
  cpus: os.availableParallelism(),
  memoryGiB: Math.round(os.totalmem() / 2 ** 30),
  kernel: `${os.type()} ${os.release()}`,
  loadBefore: os.loadavg()[0]!,
  node: process.version,
  etcd: /etcd Version: (\S+)/.exec(output(etcd, ["--version"]))?.[1] ?? "unknown",
  commit: `${output("git", ["rev-parse", "--short", "HEAD"]).trim() || "unknown"}${output("git", ["status", "--porcelain", "../../src"]) === "" ? "" : "+"}`,
  packages: Object.fromEntries(
    ["effect", "@effect/platform-node", "@kubernetes/client-node", "@nullplatform/k8s-lease-lock"].map((name) => [
      name,
      versionOf(name)
    ])
  )
})

/** Measures with the binaries of `KUBEBUILDER_ASSETS`, and adds the circumstances. */
export const during = Effect.fnUntraced(function* <A extends object, E, R>(measure: Effect.Effect<A, E, R>) {
  const { etcd } = yield* Envtest.assets
  const machine = describe(etcd)
  const [took, measured] = yield* Effect.timed(measure)
  const circumstances: Circumstances = {
    machine,
    tookSeconds: Duration.toSeconds(took),
    priority: os.getPriority(),
    loadAfter: os.loadavg()[1]!
  }
  return { ...measured, ...circumstances }
})
