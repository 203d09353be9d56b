/**
 * What kubelock costs before it does anything, how soon a service holds its first lock, and what `kubelock run` adds to a command:
 * `npm run bench:startup`. See `--help`.
 *
 * Each import runs in processes of its own, one after the other in turns, because a machine is not equally fast all the time.
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { execFile, spawn } from "node:child_process"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { rolldown } from "rolldown"
import { Envtest } from "../src/testing/index.ts"
import { whole } from "../tools/flags.ts"
import { inPath } from "../tools/inPath.ts"
import { build } from "../tools/package.ts"
import { run } from "../tools/program.ts"
import { LoadError } from "../src/cli/bench/harness/loadError.ts"
import { median } from "../src/cli/bench/harness/statistics.ts"
import { columns } from "../src/cli/bench/harness/text.ts"

const root = join(import.meta.dirname, "..")
// The compiled package, inside the repository, where its dependencies are found.
const built = join(root, "node_modules/.cache/kubelock-startup")

const service = ["effect/Schema", "effect/Stream"]
const imports: ReadonlyArray<readonly [name: string, modules: ReadonlyArray<string>]> = [
  ["nothing", []],
  ["effect/Effect", ["effect/Effect"]],
  [service.join(" and "), service],
  ["kubelock/Lock", [join(built, "Lock.js")]],
  ["kubelock", [join(built, "index.js")]],
  ["kubelock, and undici for its first client", [join(built, "index.js"), "undici/index.js"]]
]

interface Sample {
  readonly cpuMillis: number
  readonly millis: number
  readonly megabytes: number
}

const exec = promisify(execFile)

const sample = (modules: ReadonlyArray<string>) =>
  Effect.map(
    Effect.tryPromise(() =>
      exec(process.execPath, ["--input-type=module", "-e", program(modules)], { cwd: root, env: withoutCache })
    ),
    ({ stdout }) => JSON.parse(stdout) as Sample
  )

// A service in a container starts without compiled code of an earlier start.
const { NODE_COMPILE_CACHE: _, ...withoutCache } = process.env

const program = (modules: ReadonlyArray<string>) => `
  const [began, cpu] = [performance.now(), process.cpuUsage()]
  for (const one of ${JSON.stringify(modules)}) await import(one)
  const { system, user } = process.cpuUsage(cpu)
  const millis = performance.now() - began
  console.log(JSON.stringify({ millis, cpuMillis: (system + user) / 1000, megabytes: process.memoryUsage.rss() / 1e6 }))`

const measure = Effect.fnUntraced(function* (rounds: number) {
  yield* Effect.promise(() => build(built))
  // As in the package: without it, Node would look into each file for what it is.
  writeFileSync(join(built, "package.json"), JSON.stringify({ type: "module" }))
  const samples = imports.map((): Array<Sample> => [])
  for (let round = 0; round < rounds; round++) {
    for (const [index, [, modules]] of imports.entries()) samples[index]!.push(yield* sample(modules))
  }
  const middle = (index: number, read: (one: Sample) => number) => median(samples[index]!.map(read)) ?? 0
  const base = imports.findIndex(([, modules]) => modules === service)
  const rows = imports.map(([name], index) => [
    name,
    `${middle(index, ({ cpuMillis }) => cpuMillis).toFixed(0)} ms`,
    `${middle(index, ({ millis }) => millis).toFixed(0)} ms`,
    `${middle(index, ({ megabytes }) => megabytes).toFixed(0)} MB`,
    `x ${(middle(index, ({ cpuMillis }) => cpuMillis) / middle(base, ({ cpuMillis }) => cpuMillis)).toFixed(2)}`
  ])
  yield* Console.log(columns([["import", "CPU", "time", "memory", "CPU ratio"], ...rows], 1).join("\n"))
})

// A service as it is deployed: one bundle, minified, beside a package.json that says what its files are.
const bundle = async (folder: string): Promise<string> => {
  const made = await rolldown({ input: join(import.meta.dirname, "startupService.ts"), platform: "node" })
  await made.write({ dir: folder, minify: true })
  writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }))
  return join(folder, "startupService.js")
}

/** How a process is started: Node.js, unless it is another `file`. */
interface Start {
  readonly name: string
  readonly file?: string
  readonly args: ReadonlyArray<string>
  readonly env: NodeJS.ProcessEnv
}

/** The milliseconds from the start of a process to its first output, or to its end if it says nothing. */
const timeOf = ({ args, env, file = process.execPath }: Start) =>
  Effect.callback<number, LoadError>((resume) => {
    const began = performance.now()
    let took: number | undefined
    const child = spawn(file, [...args], { env, stdio: ["ignore", "pipe", "inherit"] })
    child.stdout.once("data", () => {
      took = performance.now() - began
    })
    child.once("close", (code) =>
      resume(
        code === 0
          ? Effect.succeed(took ?? performance.now() - began)
          : Effect.fail(new LoadError({ message: `${file} ${args.join(" ")} did not get its lock` }))
      )
    )
  })

/** The service account of a pod that may do everything: what the kubelet would mount. */
const serviceAccountOf = Effect.fnUntraced(function* (api: Envtest.ApiServerProcess) {
  const [namespace, name] = ["dex", "startup"]
  const accounts = `/api/v1/namespaces/${namespace}/serviceaccounts`
  yield* api.request("POST", accounts, { metadata: { name } })
  yield* api.request("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
    metadata: { name },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
    subjects: [{ kind: "ServiceAccount", name, namespace }]
  })
  const { body } = yield* api.request("POST", `${accounts}/${name}/token`, {
    apiVersion: "authentication.k8s.io/v1",
    kind: "TokenRequest",
    spec: {}
  })
  const { status } = body as { readonly status: { readonly token: string } }
  const folder = join(api.directory, "serviceaccount")
  mkdirSync(folder)
  for (const [file, text] of Object.entries({ token: status.token, namespace, "ca.crt": api.ca })) {
    writeFileSync(join(folder, file), text, { mode: 0o600 })
  }
  return folder
})

const measureService = Effect.fnUntraced(function* (rounds: number) {
  const servers = yield* Envtest.servers
  if (!servers.includes("kube-apiserver")) {
    return yield* Console.log("LEFT OUT: how soon a service holds a lock. KUBEBUILDER_ASSETS has no kube-apiserver.")
  }
  const api = yield* Envtest.start({ server: "kube-apiserver" })
  const service = yield* Effect.promise(() => bundle(join(built, "service")))
  const serviceAccount = yield* serviceAccountOf(api)
  const { hostname, port } = new URL(api.url)
  const env = { ...withoutCache, HOME: api.directory, KUBECONFIG: "" }
  const cache = { NODE_COMPILE_CACHE: join(built, "cache") }
  const pod = { ...env, KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port }
  const kubeConfig = { ...env, KUBECONFIG: api.kubeConfigPath }
  yield* compare("from the start of a process", rounds, [
    { name: nothing, args: ["-e", "0"], env },
    { name: "to the first lock, in a pod", args: [service, serviceAccount], env: { ...pod, ...cache } },
    { name: "the same without a compile cache", args: [service, serviceAccount], env: pod },
    { name: "to the first lock, by kubeconfig", args: [service], env: { ...kubeConfig, ...cache } },
    { name: "the same without a compile cache", args: [service], env: kubeConfig }
  ])
  yield* measureProgram(rounds, api, { env, cached: { ...kubeConfig, ...cache }, uncached: kubeConfig })
}, Effect.scoped)

const nothing = "nothing (node -e 0)"

/** Starts each in turns, and shows the medians. */
const compare = Effect.fnUntraced(function* (title: string, rounds: number, starts: ReadonlyArray<Start>) {
  const samples = starts.map((): Array<number> => [])
  // The first round fills the cache.
  for (let round = 0; round <= rounds; round++) {
    for (const [index, start] of starts.entries()) {
      const took = yield* timeOf(start)
      if (round > 0) samples[index]!.push(took)
    }
  }
  const middles = samples.map((one) => median(one) ?? 0)
  const rows = starts.map(({ name }, index) => [
    name,
    `${middles[index]!.toFixed(0)} ms`,
    `x ${(middles[index]! / middles[0]!).toFixed(2)}`
  ])
  yield* Console.log(columns([[title, "time", "ratio"], ...rows], 1).join("\n"))
})

/** What running `true` under a lock takes, by the command line and by what others use. etcdctl's lock is on the etcd of the same API server. */
const measureProgram = Effect.fnUntraced(function* (
  rounds: number,
  { directory, etcdUrl }: Envtest.ApiServerProcess,
  { cached, env, uncached }: Readonly<Record<"cached" | "env" | "uncached", NodeJS.ProcessEnv>>
) {
  const args = [join(built, "cli/kubelock.js"), "run", "startup", "--", "true"]
  const others = [
    {
      name: "etcdctl lock NAME -- true",
      program: "etcdctl",
      args: [`--endpoints=${etcdUrl}`, "lock", "startup", "--", "true"]
    },
    { name: "flock FILE true", program: "flock", args: [join(directory, "startup.lock"), "true"] }
  ]
  const installed = others.flatMap(({ program, ...other }) => {
    const file = inPath(program)
    return file === undefined ? [] : [{ ...other, file, env }]
  })
  yield* compare("a command under a lock", rounds, [
    { name: nothing, args: ["-e", "0"], env },
    { name: "kubelock run NAME -- true", args, env: cached },
    { name: "the same without a compile cache", args, env: { ...uncached, NODE_DISABLE_COMPILE_CACHE: "1" } },
    ...installed
  ])
  for (const { name, program } of others) {
    if (inPath(program) === undefined) yield* Console.log(`LEFT OUT: ${name}. ${program} is not installed.`)
  }
})

const command = Command.make(
  "npm run bench:startup --",
  {
    rounds: whole("rounds", [1, 1000], "How often each import is measured; the median counts (default 15)").pipe(
      Flag.withDefault(15)
    )
  },
  ({ rounds }) => Effect.andThen(measure(rounds), measureService(rounds))
).pipe(
  Command.withDescription(
    `Measures what importing kubelock costs, beside the modules of Effect that any service imports (the ratio is to ${service.join(" and ")}); how soon a bundled service holds its first lock on the kube-apiserver in KUBEBUILDER_ASSETS, and how long \`kubelock run NAME -- true\` takes there, beside \`etcdctl lock\` and \`flock\` if they are installed.`
  ),
  Command.withExamples([{ command: "npm run bench:startup" }])
)

run(command, process.argv.slice(2))
